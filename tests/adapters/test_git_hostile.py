"""Addresses, revisions and paths written to hurt: nothing of them runs, is read as an option or leaves the mirror."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import Invalid, NotFound, Unavailable
from adapters.git.names import check_directory, check_revision, check_url, is_commit
from adapters.git.repository import GitCredential, GitRepository, commit_url
from tests.environment import LOOPBACK

ALL = ("https", "ssh", "http", "file")
USUAL = ("https", "ssh")

GOOD_URLS = [
    "https://github.com/acme/shop.git",
    "https://github.com/acme/shop",
    "https://git.example.com:8443/group/sub-group/shop.git",
    "git@github.com:acme/shop.git",
    "ssh://git@github.com/acme/shop.git",
    "ssh://git@git.example.com:2222/~team/shop.git",
    "https://[2001:db8::1]/shop.git",
]
HOSTILE_URLS = [
    "",
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=touch /tmp/x",
    "ext::sh -c touch% /tmp/x",
    "fd::17",
    "ext::https://github.com/acme/shop",
    "file:///etc",
    "/etc",
    "../other.git",
    "shop.git",
    "git://github.com/acme/shop.git",
    "ftp://github.com/acme/shop.git",
    "http://github.com/acme/shop.git",
    "ssh://-oProxyCommand=touch/x/y",
    "ssh://git@-oProxyCommand=touch/y",
    "ssh://%2doProxyCommand=touch/y",
    "ssh://-l@host/y",
    "-oProxyCommand=x@host:path",
    "git@-oProxyCommand=x:path",
    "git@host:-oProxyCommand=x",
    "git@host:--upload-pack=x",
    "https://user:password@github.com/acme/shop.git",
    "https://token@github.com/acme/shop.git",
    "https://github.com/acme/shop.git\n",
    "https://github.com/acme/shop.git\nhttps://evil.example",
    "https://github.com/acme/shop.git\0",
    "https://github.com/acme/a b",
    "https://github.com/acme/$(touch x)",
    "https://github.com/acme/`x`",
    "https://github.com/acme/shop;x",
    "https://github.com/acme/shop'x",
    "https://github.com",
    "https:///shop.git",
    "https://",
    "https://github.com\\@evil.example/x",
    "https://github.com/acme/shop?x=1#y",
    "HTTPS://github.com/acme/shop",
    "ssh://git@host:99999999/x",
    "https://github.com/" + "a" * 2000,
    "https://github.com:0/acme/shop.git",
    "https://github.com:65536/acme/shop.git",
    "https://[1.2.3.4]/acme/shop.git",
    "https://[:]/acme/shop.git",
    "https://github.com/acme/../other/shop.git",
    "https://github.com/acme/./shop.git",
    "https://github.com/acme/..",
    "https://github.com/acme/%2e%2e/other/shop.git",
    "https://github.com/acme/.%2E/other/shop.git",
    "https://github.com/acme/%252e%252e/other/shop.git",
    "https://github.com/acme/..%2fother/shop.git",
    "https://github.com/acme/..%5cother/shop.git",
    "https://github.com/acme//shop.git",
    "ssh://git@github.com/acme/../other/shop.git",
    "git@github.com:../other/shop.git",
    "git@github.com:acme/../other/shop.git",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_usual_addresses_are_taken_as_they_are(url: str) -> None:
    assert check_url(url, USUAL) == url


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_hostile_addresses_are_refused_before_git_sees_them(url: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        GitRepository(url, mirror=tmp_path / "m", credential=None, protocols=USUAL, networks=LOOPBACK)
    assert caught.value.message.isprintable()
    assert "password" not in caught.value.message
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.git", "file:///srv/x.git"])
def test_other_protocols_only_when_named(url: str) -> None:
    assert check_url(url, ALL) == url
    with pytest.raises(Invalid, match="not allowed"):
        check_url(url, USUAL)


HOSTILE_REVISIONS = [
    "",
    " ",
    "--upload-pack=touch x",
    "--output=/tmp/x",
    "-oProxyCommand=x",
    "HEAD --exec",
    "HEAD^{/x}",
    "HEAD~1",
    "main^",
    "main@{1}",
    "main@{upstream}",
    "@{-1}",
    "@",
    ":/message",
    ":kubernetes",
    "main:kubernetes",
    "main..other",
    "main...other",
    "^main",
    "main\nother",
    "main\0",
    "main other",
    "main*",
    "main?",
    "ma[i]n",
    "main\\x",
    "main.lock",
    "a//b",
    "/main",
    "main/",
    ".main",
    "a/.b",
    "../main",
    "main.",
    "x" * 300,
    "ext::sh",
]


@pytest.mark.parametrize("text", HOSTILE_REVISIONS)
def test_hostile_revisions_are_refused(text: str) -> None:
    with pytest.raises(Invalid):
        check_revision(text)


@pytest.mark.parametrize(
    "text",
    ["main", "feature/a-b_c.d", "v1.0", "@scope/pkg@1.0.0", "63ec5c0", "größe", "refs/heads/x", "HEAD"],
)
def test_usual_revisions_pass(text: str) -> None:
    assert check_revision(text) == text


HOSTILE_PATHS = [
    "/",
    "/etc",
    "..",
    "../x",
    "a/../../x",
    "a/..",
    "a/./b",
    "a//b",
    ":(top)x",
    ":/x",
    ":!x",
    "--output=x",
    "-r",
    "a\nb",
    "a\0b",
    "a\\b",
    ".git",
    "a/.GIT/b",
    "x" * 2000,
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(Invalid):
        check_directory(path)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("", ""),
        (".", ""),
        ("./", ""),
        ("a", "a"),
        ("./a/b/", "a/b"),
        ("a b/ü", "a b/ü"),
        ("*.yaml", "*.yaml"),
    ],
)
def test_usual_paths_in_their_plain_form(path: str, plain: str) -> None:
    assert check_directory(path) == plain


@pytest.fixture
def local(origin, tmp_path: Path) -> GitRepository:
    """The repository by its path on disk, which is allowed here on purpose."""
    made = GitRepository(
        origin.bare.as_uri(),
        mirror=tmp_path / "mirrors",
        credential=None,
        protocols=("file",),
        networks=LOOPBACK,
    )
    made.fetch(0)
    return made


def test_pathspec_patterns_match_nothing(origin, local) -> None:
    sha = local.resolve("main").sha
    for pattern in ("*", "kubernetes/*", "kuber*", "kubernetes/stagin?", "[k]ubernetes"):
        with pytest.raises(NotFound):
            local.files(sha, pattern)


def test_a_head_of_the_mirror_is_no_revision(local) -> None:
    """Only branches and tags of the repository have names; the mirror's own references have none."""
    with pytest.raises(NotFound):
        local.resolve("HEAD")
    with pytest.raises(NotFound):
        local.resolve("FETCH_HEAD")


def test_branch_names_that_look_like_options_do_nothing(origin, local, tmp_path: Path) -> None:
    """Git's own plumbing can make a branch of nearly any name; listing and resolving such a one is harmless."""
    sha = origin.git("rev-parse", "HEAD")
    target = tmp_path / "touched"
    for name in (f"--output={target}", "-x", "a;b", "%(refname)"):
        origin.git("update-ref", f"refs/heads/{name}", sha)
    origin.push()
    local.fetch(0)
    assert {b.name for b in local.branches()} >= {f"--output={target}", "-x", "a;b", "main"}
    with pytest.raises(Invalid):
        local.resolve(f"--output={target}")
    assert local.resolve("a;b").sha == sha
    assert not target.exists()


def test_only_full_commits_reach_log_count_and_files(local) -> None:
    for bad in ("main", "--all", "HEAD", "", "0" * 39):
        with pytest.raises(Invalid):
            local.files(bad, "kubernetes")
        with pytest.raises(Invalid):
            local.log(None, bad, 5)
        with pytest.raises(Invalid):
            local.count(bad, bad)


def test_environment_of_the_portal_does_not_reach_git(origin, local, tmp_path: Path, monkeypatch) -> None:
    """GIT_* variables, hooks and settings of whoever started the portal neither help nor harm."""
    hook = tmp_path / "hook"
    evil = tmp_path / "gitconfig"
    evil.write_text(
        f"[core]\n\tsshCommand = touch {hook}\n\tpager = touch {hook}\n[uploadpack]\n\tpackObjectsHook = touch {hook}\n"
    )
    for name, value in {
        "GIT_DIR": "/nonexistent",
        "GIT_CONFIG_GLOBAL": str(evil),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_EXTERNAL_DIFF": f"touch {hook}",
        "GIT_SSH_COMMAND": f"touch {hook}",
        "GIT_TRACE": str(hook),
        "GIT_UPLOAD_PACK": f"touch {hook}",
    }.items():
        monkeypatch.setenv(name, value)
    os.rename(evil, tmp_path / ".gitconfig")
    assert local.fetch(0) is True
    assert is_commit(local.resolve("main").sha)
    assert not hook.exists()


def test_redirect_to_a_forbidden_protocol_is_not_followed(git_server, tmp_path: Path) -> None:
    def redirect(_environ, start):
        start("301 Moved", [("Location", "file:///etc/info/refs?service=git-upload-pack")])
        return [b""]

    git_server.answer = redirect
    made = GitRepository(
        f"{git_server.url}/x.git",
        mirror=tmp_path / "m",
        credential=None,
        protocols=("http",),
        networks=LOOPBACK,
    )
    with pytest.raises((Unavailable, Invalid, NotFound)):
        made.check()


def test_token_goes_to_no_other_host_on_redirect(git_server, tmp_path: Path) -> None:
    """The credential belongs to the host of the address; a host that sends us elsewhere gets an explanation."""
    seen: list[str] = []

    def redirect(environ, start):
        seen.append(environ["HTTP_HOST"])
        port = git_server.url.rsplit(":", 1)[1]
        start(
            "302 Found",
            [("Location", f"http://localhost:{port}/elsewhere.git/info/refs?service=git-upload-pack")],
        )
        return [b""]

    git_server.answer = redirect
    made = GitRepository(
        f"{git_server.url}/x.git",
        mirror=tmp_path / "m",
        credential=GitCredential(token="t"),
        protocols=("http",),
        networks=LOOPBACK,
    )
    with pytest.raises(NotFound, match="has moved"):
        made.fetch(0)
    assert {host.partition(":")[0] for host in seen} == {"127.0.0.1"}


@given(st.text())
def test_whatever_is_accepted_is_plain(text: str) -> None:
    """Whatever text comes, it is refused as Invalid or has none of the signs that Git could read otherwise."""
    for check in (check_revision, check_directory, lambda t: check_url(t, ALL)):
        try:
            accepted = check(text)
        except Invalid:
            continue
        assert not accepted.startswith("-")
        assert "\n" not in accepted
        assert "\0" not in accepted
        assert ".." not in accepted.split("/")


SHA = "63ec5c0" + "0" * 33


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("https://github.com/acme/shop.git", f"https://github.com/acme/shop/commit/{SHA}"),
        ("git@github.com:acme/shop.git", f"https://github.com/acme/shop/commit/{SHA}"),
        ("ssh://git@github.example.com:2222/acme/shop", f"https://github.example.com/acme/shop/commit/{SHA}"),
        ("https://gitlab.com/a/b/c.git", f"https://gitlab.com/a/b/c/-/commit/{SHA}"),
        ("https://gitlab.acme.io:8443/a/b.git/", f"https://gitlab.acme.io:8443/a/b/-/commit/{SHA}"),
        ("git@bitbucket.org:acme/shop.git", f"https://bitbucket.org/acme/shop/commits/{SHA}"),
        ("https://codeberg.org/acme/shop", f"https://codeberg.org/acme/shop/commit/{SHA}"),
        ("http://127.0.0.1:9418/shop.git", ""),
        ("file:///srv/github/shop.git", ""),
        ("javascript:github", ""),
        ("", ""),
    ],
)
def test_link_to_the_commit(repo: str, expected: str) -> None:
    assert commit_url(repo, SHA) == expected
    assert commit_url(repo, "main") == ""
