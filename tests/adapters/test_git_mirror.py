"""The mirror as a cache: fetched as rarely as allowed, whole or absent, mended when damaged, stopped in time."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from adapters.errors import Denied, ExternalError, Invalid, NotFound, Throttled, TimedOut, Unavailable
from adapters.git import processes, reach
from adapters.git.command import Git, _key_in_memory, _ssh_command
from adapters.git.folders import size_of
from adapters.git.messages import MirrorDamaged, MirrorsFull, UnknownRevision, UntrustedHost, explain
from adapters.git.repository import GitCredential, GitRepository
from tests.environment import LOOPBACK

TOKEN = "canary-token-7f3a"


@pytest.fixture
def make(git_server, tmp_path: Path):
    """Builds the repository object as another process or project would."""

    def _make(token: str | None = TOKEN, folder: str = "mirrors", path: str = "shop.git") -> GitRepository:
        credential = GitCredential(token=token) if token else None
        url = f"{git_server.url}/{path}"
        return GitRepository(
            url, mirror=tmp_path / folder, credential=credential, protocols=("http",), networks=LOOPBACK
        )

    return _make


def everything_below(folder: Path) -> bytes:
    """All file names and contents of a folder, to look for what must not be there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(str(path).encode() + b"\n" + path.read_bytes() for path in files)


def test_young_enough_means_no_request(make, git_server) -> None:
    repository = make()
    assert repository.fetched_at() is None
    assert repository.fetch(60) is True
    asked = len(git_server.requests)
    assert repository.fetch(60) is False
    assert make().fetch(60) is False
    assert len(git_server.requests) == asked
    assert repository.fetch(0) is True
    assert len(git_server.requests) > asked
    assert abs(repository.fetched_at().timestamp() - time.time()) < 30


def test_reading_before_the_first_fetch_is_explained(make) -> None:
    with pytest.raises(NotFound, match="has not been fetched yet") as caught:
        make().resolve("main")
    assert caught.value.permanent is False


def test_many_at_once_fetch_once(make, git_server) -> None:
    """Whoever waits for the lock is served by the fetch that another one made meanwhile."""
    make().fetch(0)
    git_server.requests.clear()
    git_server.gate.clear()
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(make().fetch(0.5))) for _ in range(6)]
    time.sleep(0.6)
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    git_server.gate.set()
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == [False] * 5 + [True]
    assert sum("service=git-upload-pack" in r["QUERY_STRING"] for r in git_server.requests) == 1


def test_no_trace_of_the_token_on_disk_or_in_arguments(make, git_server, tmp_path: Path, monkeypatch) -> None:
    seen: list[str] = []
    original = subprocess.Popen.__init__

    def spy(self, args, *rest, **options):
        seen.append(" ".join(map(str, args)))
        original(self, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", spy)
    repository = make()
    repository.fetch(0)
    repository.resolve("main")
    encoded = repository._git.credential.basic.split()[1]
    on_disk = everything_below(tmp_path / "mirrors")
    assert on_disk
    for secret in (TOKEN, encoded):
        assert secret.encode() not in on_disk
        assert not any(secret in command for command in seen)
        assert secret not in repr(repository._git)
    assert any(encoded in request.get("HTTP_AUTHORIZATION", "") for request in git_server.requests)


def test_what_one_credential_fetched_is_closed_to_another(make) -> None:
    """A second project naming the same address without a right to it reads nothing from the first one's mirror."""
    make().fetch(0)
    for token in ("wrong-token", None):
        stranger = make(token)
        with pytest.raises(NotFound, match="not been fetched"):
            stranger.resolve("main")
        with pytest.raises(Denied):
            stranger.fetch(3600)
        with pytest.raises(NotFound, match="not been fetched"):
            stranger.branches()


def test_failed_first_fetch_leaves_nothing_behind(make, git_server, tmp_path: Path) -> None:
    with pytest.raises(Denied):
        make("wrong").fetch(0)
    assert [path.suffix for path in (tmp_path / "mirrors").iterdir()] == [".lock"]
    assert make().fetch(0) is True


def test_interrupted_first_fetch_is_done_again(make, tmp_path: Path) -> None:
    repository = make()
    leftover = repository._mirror.path.with_suffix(".new")
    leftover.mkdir(parents=True)
    (leftover / "HEAD").write_text("half")
    repository.fetch(0)
    assert repository.resolve("main")
    assert not leftover.exists()


def damage_truncated(mirror: Path) -> None:
    for path in mirror.rglob("objects/**/*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(path.read_bytes()[:10])


def damage_objects_gone(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    (mirror / "objects").mkdir()


def damage_empty_directory(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")
    shutil.rmtree(mirror / "refs")
    (mirror / "HEAD").write_text("")


def damage_no_head(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


@pytest.mark.parametrize(
    "damage", [damage_truncated, damage_objects_gone, damage_empty_directory, damage_no_head]
)
@pytest.mark.parametrize("first", ["resolve", "files", "log", "fetch"])
def test_damaged_mirror_is_made_anew(make, origin, damage, first: str) -> None:
    repository = make()
    repository.fetch(0)
    sha = origin.git("rev-parse", "HEAD")
    damage(repository._mirror.path)
    if first == "fetch":
        repository.fetch(0)
    actions = {
        "fetch": lambda: repository.resolve("main").sha,
        "resolve": lambda: repository.resolve("main").sha,
        "files": lambda: repository.files(sha, "kubernetes/staging") and sha,
        "log": lambda: repository.log(None, sha, 5)[0].sha,
    }
    assert actions[first]() == sha
    assert set(repository.files(sha, "kubernetes/staging")) == {"web.yaml", "sub/x.yaml"}


def test_history_rewritten_at_the_origin(make, origin) -> None:
    repository = make()
    repository.fetch(0)
    old = origin.git("rev-parse", "HEAD")
    origin.git("commit", "-q", "--amend", "-m", "Rewritten")
    origin.push()
    repository.fetch(0)
    assert repository.resolve("main").sha == origin.git("rev-parse", "HEAD")
    assert repository.count(old, repository.resolve("main").sha) == (1, 1)


def test_silent_host_is_given_up_and_its_git_killed(make, git_server) -> None:
    git_server.gate.clear()
    repository = make()
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"no complete answer within 0\.5 seconds"):
        repository.fetch(0, timeout=0.5)
    assert time.monotonic() - started < 40  # the host is silent for ever
    with pytest.raises(TimedOut):
        repository.check(timeout=0.5)
    deadline = time.monotonic() + 60
    while left := [p for p in Path("/proc").glob("[0-9]*/cmdline") if _mentions(p, repository.url)]:
        # Git's helpers are nobody's children then: they are killed at once, but nobody can wait for their end.
        assert time.monotonic() < deadline, [p.read_bytes() for p in left if p.exists()]
        time.sleep(0.02)


def _mentions(cmdline: Path, text: str) -> bool:
    try:
        return text.encode() in cmdline.read_bytes() and b"git" in cmdline.read_bytes()
    except OSError:
        return False


def until_asked(git_server, before: int) -> None:
    """Waits for one more request to the host than `before`: a fetch holds the lock by then."""
    deadline = time.monotonic() + 60
    while len(git_server.requests) == before:
        assert time.monotonic() < deadline, "no fetch asked the host"
        time.sleep(0.02)


def files_of(repository: GitRepository) -> list[Path]:
    """The files of a mirror that hold objects, and half packs that were left behind."""
    found = (repository._mirror.path / "objects").rglob("*")
    return [path for path in found if path.is_file() and path.suffix not in {".idx", ".rev"}]


def grow(origin, repository: GitRepository, times: int, commits: int = 1) -> None:
    """So many fetches, each of so many new commits."""
    for _ in range(times):
        for _ in range(commits - 1):
            origin.commit("More", {"a": str(origin.clock)}, push=False)
        origin.commit("More", {"a": str(origin.clock)})
        repository.fetch(0)


@pytest.mark.slow
def test_a_mirror_grows_by_files_until_it_is_tidied(make, origin) -> None:
    repository = make()
    repository.fetch(0)
    grow(origin, repository, 5)
    grow(origin, repository, 3, commits=40)  # from 100 objects on a fetch is kept as a pack
    assert len(files_of(repository)) > 5 * 3
    assert len([path for path in files_of(repository) if path.suffix == ".pack"]) >= 3
    old, newest = origin.git("rev-parse", "HEAD~100"), origin.git("rev-parse", "HEAD")

    (repository._mirror.path / "objects" / "pack" / "tmp_pack_left").write_bytes(b"PACK")
    assert repository.tidy() is True
    assert len(files_of(repository)) <= 2
    assert repository.tidy() is False  # today's is done
    for _day in range(10):
        grow(origin, repository, 1)
        assert repository.tidy(0) is True
    assert len(files_of(repository)) <= 6, "ten more packs, unless small ones become one"
    assert repository.resolve("main").sha == origin.git("rev-parse", "HEAD")
    for sha in (old, newest):
        assert repository.files(sha, "kubernetes/staging")


def test_tidying_waits_for_nobody_and_is_not_done_without_a_mirror(make, origin, git_server) -> None:
    assert make().tidy() is False
    make().fetch(0)
    git_server.gate.clear()
    slow = threading.Thread(target=lambda: make().fetch(0))
    asked = len(git_server.requests)
    slow.start()
    until_asked(git_server, asked)
    with pytest.raises(TimedOut):
        make().tidy()
    assert slow.is_alive()
    git_server.gate.set()
    slow.join(60)
    assert make().tidy() is True


def test_a_fetch_waits_for_the_git_that_tidies_even_when_its_worker_was_killed(make, monkeypatch) -> None:
    repository = make()
    repository.fetch(0)
    kept: list[int] = []
    monkeypatch.setattr(Git, "local", lambda self, args, *, keep_open=(), **_: kept.extend(keep_open) or b"")
    repository.tidy()
    assert len(kept) == 2  # both of its commands take the lock along


def test_waiting_for_another_fetch_ends(make, git_server) -> None:
    make().fetch(0)
    git_server.gate.clear()
    slow = threading.Thread(target=lambda: make().fetch(0))
    asked = len(git_server.requests)
    slow.start()
    until_asked(git_server, asked)
    with pytest.raises(TimedOut, match="Another fetch"):
        make().fetch(0, timeout=0.3)
    git_server.gate.set()
    slow.join(60)


def test_lock_outlives_a_killed_worker_as_long_as_its_git(make, git_server, tmp_path: Path) -> None:
    """Two fetches never write one mirror at once, even when the first one's worker was killed."""
    make().fetch(0)
    git_server.gate.clear()
    code = (
        "import sys; from pathlib import Path; from adapters.git.repository import *;"
        f"GitRepository({make().url!r}, mirror=Path({str(tmp_path / 'mirrors')!r}),"
        f" credential=GitCredential(token={TOKEN!r}), protocols=('http',), networks={LOOPBACK!r}).fetch(0)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    asked = len(git_server.requests)
    until_asked(git_server, asked)
    worker.kill()
    worker.wait()
    with pytest.raises(TimedOut, match="Another fetch"):
        make().fetch(0, timeout=0.5)
    git_server.gate.set()
    assert make().fetch(0, timeout=20) is True


def test_folder_that_cannot_be_written(git_server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = GitRepository(
        f"{git_server.url}/shop.git",
        mirror=tmp_path / "file",
        credential=None,
        protocols=("http",),
        networks=LOOPBACK,
    )
    with pytest.raises(Unavailable, match="folder of Git mirrors"):
        made.fetch(0)


def test_missing_repository_and_missing_host(make, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="knows no such repository"):
        make(path="nope.git").fetch(0)
    nowhere = GitRepository(
        "http://127.0.0.1:1/x.git",
        mirror=tmp_path / "m",
        credential=None,
        protocols=("http",),
        networks=LOOPBACK,
    )
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 is not reachable"):
        nowhere.check()
    unknown = GitRepository(
        "http://host.invalid/x.git",
        mirror=tmp_path / "m",
        credential=None,
        protocols=("http",),
        networks=LOOPBACK,
    )
    with pytest.raises(Unavailable, match=r"host\.invalid is not reachable"):
        unknown.check()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("403 Forbidden", Denied),
        ("404 Not Found", NotFound),
        ("429 Too Many Requests", Throttled),
        ("500 Oops", Unavailable),
        ("503 Busy", Unavailable),
    ],
)
def test_answers_of_a_sick_host(make, git_server, status: str, error: type[ExternalError]) -> None:
    def answer(_environ, start):
        start(status, [("Content-Type", "text/html")])
        return [f"<html>remote: {TOKEN}</html>".encode()]

    git_server.answer = answer
    with pytest.raises(error) as caught:
        make().fetch(0)
    assert TOKEN not in caught.value.message + caught.value.hint
    assert caught.value.system == "Git"


def test_web_page_instead_of_the_repository_empties_no_mirror(make, git_server) -> None:
    repository = make()
    repository.fetch(0)

    def login_page(_environ, start):
        start("200 OK", [("Content-Type", "text/html")])
        return [b"<html>Please sign in</html>"]

    git_server.answer = login_page
    with pytest.raises(Unavailable, match="keeps its copy"):
        repository.fetch(0)
    assert repository.resolve("main")


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        (
            "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            Denied,
            "refused",
        ),
        (
            "ERROR: Repository not found.\nfatal: Could not read from remote repository.",
            NotFound,
            "no such repository",
        ),
        (
            "remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found",
            NotFound,
            "no such",
        ),
        ("ssh: Could not resolve hostname nope: Name or service not known", Unavailable, "not reachable"),
        ("ssh: connect to host h port 22: Connection timed out", Unavailable, "not reachable"),
        ("Host key verification failed.", UntrustedHost, "does not show the key"),
        (
            "fatal: unable to access 'x': server certificate verification failed. CAfile: none",
            Unavailable,
            "not reachable",
        ),
        ("fatal: transport 'ext' not allowed", Invalid, "not allowed"),
        ("fatal: remote error: upload-pack: not our ref 1111", UnknownRevision, "no such revision"),
        ("error: could not lock config file: Permission denied", Unavailable, "may not write"),
        ("fatal: write error: No space left on device", Unavailable, "disk is full"),
        ("fatal: not a git repository: '/x'", MirrorDamaged, "damaged"),
        ("remote: s3cret says hello\nfatal: something s3cret new\x1b[31m", Unavailable, "something … new"),
        ("", Unavailable, "no reason"),
    ],
)
def test_complaints_in_plain_words(stderr: str, error: type[ExternalError], words: str) -> None:
    found = explain(stderr, host="github.com", with_credential=True, secrets=["s3cret"])
    assert type(found) is error
    assert words in found.message
    assert found.message.isprintable()
    assert "s3cret" not in found.message


# Deploy keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, str]:
    """Private keys of several forms, made by ssh-keygen."""
    folder = tmp_path_factory.mktemp("keys")
    made = {}
    for name, options in {
        "open": ["-N", ""],
        "locked": ["-N", "secret"],
        "pem": ["-N", "", "-m", "PEM"],
    }.items():
        kind = "ecdsa" if name == "pem" else "ed25519"
        command = ["ssh-keygen", "-q", "-t", kind, "-f", str(folder / name), *options]
        subprocess.run(command, check=True)
        made[name] = (folder / name).read_text()
    command = [
        "ssh-keygen",
        "-q",
        "-t",
        "ecdsa",
        "-m",
        "PEM",
        "-N",
        "secret",
        "-f",
        str(folder / "pem-locked"),
    ]
    subprocess.run(command, check=True)
    made["pem-locked"] = (folder / "pem-locked").read_text()
    return made


@pytest.mark.parametrize("name", ["open", "pem"])
@pytest.mark.parametrize("mangle", [str, lambda key: key.replace("\n", "\r\n").strip()])
def test_ssh_reads_a_pasted_key_from_memory(keys, name: str, mangle) -> None:
    credential = GitCredential(private_key=mangle(keys[name]))
    with _key_in_memory(credential.private_key) as path:
        done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(("ssh-", "ecdsa-"))
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("key", "words"),
    [("locked", "passphrase"), ("pem-locked", "passphrase"), ("ssh-ed25519 AAAA me", "not a private key")],
)
def test_unusable_keys_are_refused_at_once(keys, key: str, words: str) -> None:
    text = keys.get(key, key)
    with pytest.raises(Invalid, match=words) as caught:
        GitCredential(private_key=text)
    assert text not in str(caught.value)


def test_credential_is_one_of_both(keys) -> None:
    for fields in ({}, {"token": " "}, {"token": "x", "private_key": keys["open"]}):
        with pytest.raises(Invalid, match="either a token or a private key"):
            GitCredential(**fields)
    assert "x" not in repr(GitCredential(token="x")).replace("x-access-token", "")


def test_ssh_is_called_with_the_key_and_nothing_of_the_user(keys, tmp_path: Path, monkeypatch) -> None:
    """A stand-in for ssh writes down what it was given: the key is readable for it, and gone afterwards."""
    tools = tmp_path / "bin"
    tools.mkdir()
    report = tmp_path / "report"
    fake = tools / "ssh"
    fake.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" > {report}\n'
        'while [ "$1" != -i ]; do shift; done\n'
        f'ssh-keygen -y -f "$2" >> {report}; env >> {report}\n'
        'echo "git@host: Permission denied (publickey)." >&2; exit 255\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nonexistent/agent")
    folder = tmp_path / "mir rors 100%"
    made = GitRepository(
        "git@host.example:acme/shop.git",
        mirror=folder,
        credential=GitCredential(private_key=keys["open"]),
        protocols=("ssh",),
        networks=LOOPBACK,
    )
    monkeypatch.setattr(reach, "_resolve", lambda *_: [ipaddress.ip_address("93.184.216.34")])
    with pytest.raises(Denied, match=r"host\.example refused"):
        made.fetch(0)
    text = report.read_text()
    assert "ssh-ed25519 " in text
    assert "git@host.example" in text
    assert "StrictHostKeyChecking=accept-new" in text
    assert "HostName=93.184.216.34" in text  # the address that was checked
    assert "HostKeyAlias=host.example" in text
    assert f'UserKnownHostsFile="{str(folder).replace("%", "%%")}/known_hosts"' in text
    assert "SSH_AUTH_SOCK" not in text
    assert "PRIVATE KEY" not in text


def test_ssh_understands_the_options(tmp_path: Path) -> None:
    """ssh itself parses what we hand it (-G prints the outcome): a folder with a blank and a percent sign included."""
    command = _ssh_command(tmp_path / "a b%c" / "known_hosts", None)
    done = subprocess.run(["sh", "-c", f"{command} -G git@host.example"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"userknownhostsfile {tmp_path}/a b%c/known_hosts" in done.stdout.replace('"', "")
    assert "batchmode yes" in done.stdout


def test_git_missing_on_the_machine(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="could not be started"):
        Git("https://host/x", ("https",), None, tmp_path).local(["version"])


def big(origin, megabytes: int) -> str:
    """A commit with a file that no compression makes smaller."""
    return origin.commit("big", {f"big{megabytes}": os.urandom(megabytes * 1_000_000)})


@pytest.fixture
def closely_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sends is not there before the first look."""
    monkeypatch.setattr(processes, "LOOK_SECONDS", 0.005)


def limited(git_server, folder: Path, limit: int) -> GitRepository:
    credential = GitCredential(token=TOKEN)
    return GitRepository(
        f"{git_server.url}/shop.git", mirror=folder, credential=credential, protocols=("http",), limit=limit,
        networks=LOOPBACK,
    )  # fmt: skip


def test_mirrors_have_a_limit_together(origin, git_server, tmp_path: Path, closely_watched) -> None:
    """A branch that is larger than what is left changes nothing, leaves nothing, and is named."""
    folder = tmp_path / "mirrors"
    repository = limited(git_server, folder, 3_000_000)
    repository.fetch(0)
    before, kept = repository.resolve("main"), size_of(folder)
    sha = big(origin, 40)
    with pytest.raises(MirrorsFull, match="all the space") as full:
        repository.fetch(0)
    assert full.value.permanent
    assert "GIT_MIRRORS_GB" in full.value.hint
    assert repository.resolve("main") == before
    assert size_of(folder) < kept + 100_000
    assert limited(git_server, folder, 300_000_000).fetch(0)
    assert repository.resolve("main").sha == sha
    big(origin, 1)
    with pytest.raises(MirrorsFull):  # none is left at all
        repository.fetch(0)


def test_a_first_copy_that_is_too_large_leaves_nothing(
    origin, git_server, tmp_path: Path, closely_watched
) -> None:
    big(origin, 40)
    repository = limited(git_server, tmp_path / "mirrors", 2_000_000)
    with pytest.raises(MirrorsFull):
        repository.fetch(0)
    assert size_of(tmp_path / "mirrors") < 100_000


def test_waiting_and_fetching_have_one_limit_of_time(make, git_server) -> None:
    make().fetch(0)
    git_server.gate.clear()

    holder = threading.Thread(target=lambda: make().fetch(0, timeout=120))
    asked = len(git_server.requests)
    holder.start()
    until_asked(git_server, asked)
    with pytest.raises(TimedOut):
        make().fetch(0, timeout=2)
    assert holder.is_alive(), "it waited for as long as the other one fetched"
    git_server.gate.set()
    holder.join(60)


def test_a_commits_subject_and_author_are_cut(make, origin) -> None:
    origin.git("config", "user.name", "x")
    origin.commit("s" * 5000 + "\u202e\x1b[2J")
    repository = make()
    repository.fetch(0)
    commit = repository.resolve("main")
    assert commit.subject == "s" * 300
    assert repository.branches()[0].commit.subject == "s" * 300
