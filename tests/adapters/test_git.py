"""A repository is fetched, resolved and read through its mirror, as a deploy does it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.errors import Denied, Invalid, NotFound
from adapters.git.repository import GitCredential, GitRepository, Limits
from engine.manifests.documents import is_read
from tests.environment import LOOPBACK

TOKEN = "canary-token-7f3a"


@pytest.fixture
def repository(git_server, tmp_path: Path) -> GitRepository:
    """The served repository, fetched once with the right token."""
    made = GitRepository(
        f"{git_server.url}/shop.git",
        mirror=tmp_path / "mirrors",
        credential=GitCredential(token=TOKEN),
        protocols=("http",),
        networks=LOOPBACK,
    )
    made.fetch(0)
    return made


def test_tags_lead_to_their_commits(origin, repository) -> None:
    head = origin.git("rev-parse", "HEAD")
    origin.git("tag", "light")
    origin.git("tag", "-a", "v1", "-m", "one")
    origin.git("tag", "-a", "tree", "-m", "of a tree", "HEAD^{tree}")
    origin.push()
    repository.fetch(0)
    assert {one.name: one.commit.sha for one in repository.tags()} == {"light": head, "v1": head}


def test_whether_a_branch_has_a_commit(origin, repository) -> None:
    first, head = origin.git("rev-parse", "HEAD~1"), origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "main-2", first)
    other = origin.commit("Other", {"x": "1"})
    origin.git("tag", "v1", head)
    origin.push()
    repository.fetch(0)
    assert repository.contains("refs/heads/main", first)
    assert repository.contains("refs/heads/main", head)
    assert repository.contains("refs/tags/v1", head)
    assert repository.contains("refs/heads/main-2", other)
    for ref, sha in (
        ("refs/heads/main", other), ("refs/heads/none", head), ("refs/heads/main", "d" * 40), ("refs/heads/main", "main"),
        ("refs/heads", head),
    ):  # fmt: skip
        assert not repository.contains(ref, sha)
    with pytest.raises(Invalid):
        repository.contains("refs/heads/*", head)


def test_the_paths_that_changed(origin, repository) -> None:
    base = origin.git("rev-parse", "HEAD")
    origin.git("mv", "README.md", "docs.md")
    head = origin.commit("Move and add", {"größe/ü.py": "1", "a b": "2"})
    repository.fetch(0)
    assert set(repository.changed_paths(base, head)) == {"README.md", "docs.md", "größe/ü.py", "a b"}
    assert repository.changed_paths(head, head) == []
    with pytest.raises(NotFound):
        repository.changed_paths("d" * 40, head)


def test_the_paths_of_all_files(origin, repository) -> None:
    (origin.work / "link").symlink_to("/etc/passwd")
    head = origin.commit("Link", {"größe/x": "1"})
    repository.fetch(0)
    assert set(repository.paths(head)) == {
        "README.md", "größe/x", "link", "kubernetes/staging/web.yaml", "kubernetes/staging/sub/x.yaml",
    }  # fmt: skip


def test_what_a_branch_a_tag_and_a_commit_lead_to(origin, repository) -> None:
    tagged = origin.git("rev-parse", "HEAD")
    origin.git("tag", "-a", "v1.0", "-m", "one")
    origin.git("tag", "light")
    newest = origin.commit("Größe ändern | *x* <b>", {"a": "b"})
    repository.fetch(0)
    assert repository.resolve("main").sha == newest
    assert repository.resolve(newest).sha == newest
    assert repository.resolve(newest[:7]).sha == newest
    assert repository.resolve(newest[:9].upper()).sha == newest
    assert repository.resolve(" v1.0 ").sha == tagged
    assert repository.resolve("light").sha == tagged
    assert repository.resolve("refs/tags/v1.0").sha == tagged
    commit = repository.resolve("refs/heads/main")
    assert (commit.subject, commit.author, commit.short) == ("Größe ändern | *x* <b>", "Ana", newest[:7])
    assert commit.authored_at.tzinfo is UTC
    assert datetime(2023, 11, 14, tzinfo=UTC) < commit.authored_at < datetime(2023, 11, 16, tzinfo=UTC)


def test_branch_goes_before_tag_of_the_same_name(origin, repository) -> None:
    first = origin.git("rev-parse", "HEAD~1")
    origin.git("tag", "release", first)
    origin.git("branch", "release", "HEAD")
    origin.push()
    repository.fetch(0)
    assert repository.resolve("release").sha == origin.git("rev-parse", "HEAD")
    assert repository.resolve("refs/tags/release").sha == first


def test_short_commit_that_several_share_is_explained(origin, repository) -> None:
    shas = origin.import_commits(1000)
    origin.push()
    repository.fetch(0)
    by_prefix: dict[str, list[str]] = {}
    for sha in shas:
        by_prefix.setdefault(sha[:4], []).append(sha)
    # The dates are fixed and so are the commits: of a thousand, some share their first four digits.
    shared = [group for group in by_prefix.values() if len(group) > 1]
    assert shared
    with pytest.raises(Invalid, match="several commits") as caught:
        repository.resolve(shared[0][0][:4])
    assert all(sha[:12] in caught.value.message for sha in shared[0])


def test_branch_called_like_another_commit_is_not_guessed(origin, repository) -> None:
    first, second = origin.git("rev-parse", "HEAD~1"), origin.git("rev-parse", "HEAD")
    origin.git("branch", first[:8], second)
    origin.push()
    repository.fetch(0)
    with pytest.raises(Invalid, match="several commits"):
        repository.resolve(first[:8])
    assert repository.resolve(f"refs/heads/{first[:8]}").sha == second
    assert repository.resolve(first).sha == first


@pytest.mark.parametrize(
    "name", ["nope", "deadbeef", "0" * 40, "kubernetes", "refs/heads/nope", "refs/tags/main"]
)
def test_unknown_revision(repository, name: str) -> None:
    with pytest.raises(NotFound, match="has no revision"):
        repository.resolve(name)


def test_a_file_or_tree_is_no_revision(origin, repository) -> None:
    tree = origin.git("rev-parse", "HEAD^{tree}")
    for name in (tree, tree[:8]):
        with pytest.raises(NotFound):
            repository.resolve(name)


def test_log_and_distance(origin, repository) -> None:
    base = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "side", "HEAD~1")
    side = origin.commit("Side")
    origin.git("checkout", "-q", "main")
    shas = [origin.commit(f"Change {n}") for n in range(4)]
    repository.fetch(0)
    assert [c.sha for c in repository.log(base, shas[-1], 10)] == shas[::-1]
    assert [c.subject for c in repository.log(base, shas[-1], 2)] == ["Change 3", "Change 2"]
    assert len(repository.log(None, shas[-1], 100)) == 6
    assert repository.log(base, base, 5) == []
    assert repository.count(base, shas[-1]) == (4, 0)
    assert repository.count(shas[-1], base) == (0, 4)
    assert repository.count(shas[-1], side) == (1, 5)


def test_branches_newest_first(origin, repository) -> None:
    origin.git("checkout", "-q", "-b", "feature/one")
    newest = origin.commit("One")
    origin.push()
    repository.fetch(0)
    branches = repository.branches()
    assert [branch.name for branch in branches] == ["feature/one", "main"]
    assert branches[0].commit == repository.resolve(newest)
    origin.git("checkout", "-q", "main")
    origin.git("branch", "-q", "-D", "feature/one")
    origin.push()
    repository.fetch(0)
    assert [branch.name for branch in repository.branches()] == ["main"]


def test_files_of_a_directory(origin, repository) -> None:
    odd = "kubernetes/staging/ünïcode name\twith tab.yaml"
    sha = origin.commit("Odd names", {odd: b"\x00\xff\n", "kubernetes/staging/empty.yaml": ""})
    repository.fetch(0)
    expected = {
        "web.yaml": b"kind: Service\n",
        "sub/x.yaml": b"x\n",
        "empty.yaml": b"",
        "ünïcode name\twith tab.yaml": b"\x00\xff\n",
    }
    assert repository.files(sha, "kubernetes/staging") == expected
    assert repository.files(sha, "./kubernetes/staging/") == expected
    flat = repository.files(sha, "kubernetes/staging", recursive=False)
    assert flat == {name: content for name, content in expected.items() if "/" not in name}
    assert "kubernetes/staging/web.yaml" in repository.files(sha, ".")
    assert set(repository.files(sha, "", recursive=False)) == {"README.md"}


def test_attributes_of_the_repository_change_nothing(origin, repository) -> None:
    attributes = "*.yaml export-ignore text eol=crlf filter=evil ident\n"
    sha = origin.commit("Attributes", {".gitattributes": attributes, "d/x.yaml": "a: $Id$\n"})
    repository.fetch(0)
    assert repository.files(sha, "d") == {"x.yaml": b"a: $Id$\n"}


def test_missing_directory_is_named_with_the_revision(origin, repository) -> None:
    sha = repository.resolve("main").sha
    with pytest.raises(NotFound, match=f"no directory “kubernetes/production” in revision {sha[:7]}"):
        repository.files(sha, "kubernetes/production")
    with pytest.raises(Invalid, match=r"“README\.md” is a file"):
        repository.files(sha, "README.md")


def test_links_and_submodules_are_refused_by_name(origin, repository) -> None:
    (origin.work / "links").mkdir()
    (origin.work / "links" / "x.yaml").symlink_to("/etc/passwd")
    (origin.work / "linked").symlink_to("kubernetes")
    sha = origin.commit("Links")
    repository.fetch(0)
    with pytest.raises(Invalid, match=r"links/x\.yaml is a symbolic link"):
        repository.files(sha, "links")
    with pytest.raises(Invalid, match="“linked” is a symbolic link"):
        repository.files(sha, "linked")
    with pytest.raises(NotFound):
        repository.files(sha, "linked/staging")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{sha},mods/dep")
    origin.git("commit", "-q", "-m", "Submodule")
    origin.push()
    repository.fetch(0)
    newest = repository.resolve("main").sha
    with pytest.raises(Invalid, match="mods/dep is a submodule"):
        repository.files(newest, "mods")
    assert repository.files(newest, "mods", recursive=False) == {}


def test_limits_name_what_is_too_large(origin, repository) -> None:
    sha = origin.commit("Large", {"big/a.bin": b"x" * 3000, "big/b.bin": b"y" * 3000, "big/c": b"z"})
    repository.fetch(0)
    with pytest.raises(Invalid, match=r"big/a\.bin is 0\.0 MB large"):
        repository.files(sha, "big", limits=Limits(file_bytes=2999))
    with pytest.raises(Invalid, match=r"big holds 0\.0 MB"):
        repository.files(sha, "big", limits=Limits(total_bytes=6000))
    with pytest.raises(Invalid, match="big holds 3 files; 2 are read"):
        repository.files(sha, "big", limits=Limits(files=2))
    assert len(repository.files(sha, "big", limits=Limits(3000, 6001, 3))) == 3


def test_large_file_storage_is_explained(origin, repository) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    sha = origin.commit("LFS", {"lfs/x.yaml": pointer})
    repository.fetch(0)
    with pytest.raises(Invalid, match=r"lfs/x\.yaml is kept in Git LFS"):
        repository.files(sha, "lfs")


def test_what_is_not_wanted_is_not_looked_at(origin, repository) -> None:
    """Beside manifests lie links, pictures in Git LFS, archives: none of them stops a deploy."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 5\n"
    (origin.work / "mixed").mkdir()
    (origin.work / "mixed" / "README.md").symlink_to("../README.md")
    files = {"mixed/a.yaml": "kind: A", "mixed/logo.png": pointer, "mixed/old.tar.gz": b"x" * 6_000_000}
    sha = origin.commit("Mixed", files)
    repository.fetch(0)
    assert repository.files(sha, "mixed", wanted=is_read) == {"a.yaml": b"kind: A"}
    with pytest.raises(Invalid, match=r"mixed/README\.md is a symbolic link"):
        repository.files(sha, "mixed")
    (origin.work / "mixed" / "b.yaml").symlink_to("a.yaml")
    sha = origin.commit("A linked manifest")
    repository.fetch(0)
    with pytest.raises(Invalid, match=r"mixed/b\.yaml is a symbolic link"):
        repository.files(sha, "mixed", wanted=is_read)


def test_commit_whose_branch_is_gone_is_still_read(origin, repository, tmp_path: Path) -> None:
    """A rollback reads the revision it once deployed, on a machine that never fetched the branch as well."""
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=origin.bare)
    origin.git("checkout", "-q", "-b", "gone")
    sha = origin.commit("Gone soon", {"d/x.yaml": "1"})
    repository.fetch(0)
    origin.git("checkout", "-q", "main")
    origin.git("branch", "-q", "-D", "gone")
    origin.push()
    repository.fetch(0)
    assert repository.tidy()
    assert repository.files(sha, "d") == {"x.yaml": b"1"}
    elsewhere = GitRepository(
        repository.url,
        mirror=tmp_path / "other",
        credential=GitCredential(token=TOKEN),
        protocols=("http",),
        networks=LOOPBACK,
    )
    elsewhere.fetch(0)
    with pytest.raises(NotFound):
        elsewhere.resolve(sha)
    assert elsewhere.files(sha, "d") == {"x.yaml": b"1"}
    with pytest.raises(NotFound, match="has no revision “1111111”"):
        elsewhere.files("1" * 40, "d")


def test_check_tells_branches_or_why_not(origin, repository, git_server, tmp_path: Path) -> None:
    facts = repository.check()
    assert (facts.default_branch, facts.branches) == ("main", ("main",))
    stranger = GitRepository(
        repository.url, mirror=tmp_path / "m", credential=None, protocols=("http",), networks=LOOPBACK
    )
    with pytest.raises(Denied, match="refused the authentication") as caught:
        stranger.check()
    assert "enter a token" in caught.value.hint


def test_empty_repository(origin, git_server, tmp_path: Path) -> None:
    origin.git("init", "-q", "--bare", str(origin.bare.parent / "empty.git"))
    empty = GitRepository(
        f"{git_server.url}/empty.git",
        mirror=tmp_path / "mirrors",
        credential=GitCredential(token=TOKEN),
        protocols=("http",),
        networks=LOOPBACK,
    )
    assert empty.fetch(0) is True
    assert empty.branches() == []
    assert empty.check().branches == ()
    with pytest.raises(NotFound):
        empty.resolve("main")


def test_dates_and_names_that_lie(origin, repository) -> None:
    tree = origin.git("rev-parse", "HEAD^{tree}")
    body = f"tree {tree}\nauthor Eve\x1b[31m <e> 99999999999999999 +0000\ncommitter Eve <e> 1 +0000\n\nRed\x1b[31m\n"
    origin.write("raw", body)
    sha = origin.git("hash-object", "-t", "commit", "-w", "--literally", "raw")
    origin.git("branch", "eve", sha)
    origin.push()
    repository.fetch(0)
    commit = repository.resolve("eve")
    assert commit.authored_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert commit.author.isprintable()
    assert commit.subject.isprintable()
    assert next(b for b in repository.branches() if b.name == "eve").commit == commit


def test_a_page_asks_the_mirror_alone(origin, repository) -> None:
    """What the mirror lacks is brought from the host for a deploy, but a page must not wait for the network."""
    newer = origin.commit("Pushed after the fetch", {"a": "c"})
    origin.push()
    with pytest.raises(NotFound):
        repository.log(None, newer, 1, ask_host=False)
    assert repository.log(None, newer, 1)[0].sha == newer
    assert repository.log(None, newer, 1, ask_host=False)[0].sha == newer
