"""Deploy keys against a real OpenSSH server: who gets in, whom we trust, and what people read when it does not work."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.errors import Denied, NotFound, TimedOut, Unavailable
from adapters.git.repository import GitCredential, GitRepository, UntrustedHost, UnusableKey
from tests.adapters.conftest import Origin
from tests.adapters.ssh_server import SshServer, make_key, sshd_program
from tests.environment import LOOPBACK
from tests.everything import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def server(origin: Origin, tmp_path: Path) -> Iterator[SshServer]:
    """Serves `origin` to whom it is told to (`allow`)."""
    folder = tmp_path / "sshd"
    folder.mkdir()
    (folder / "authorized_keys").touch()
    made = SshServer(folder, origin.bare, free_port(), sshd_program())
    made.new_host_key()
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def key(server: SshServer, tmp_path: Path) -> str:
    """A deploy key that may read."""
    text = make_key(tmp_path / "good")
    server.allow(tmp_path / "good.pub")
    return text


def repository(server: SshServer, tmp_path: Path, key: str = "", *, url: str = "") -> GitRepository:
    """The repository as the portal sees it: in a folder of mirrors with a blank and a percent sign."""
    return GitRepository(
        url or server.url,
        mirror=tmp_path / "mir rors 100%",
        credential=GitCredential(private_key=key) if key else None,
        protocols=("ssh",),
        networks=LOOPBACK,
    )


def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "mir rors 100%" / "known_hosts"


def logins(server: SshServer) -> int:
    return server.log.count("Accepted publickey")


def test_a_good_key_clones_and_fetches(server: SshServer, key: str, origin: Origin, tmp_path: Path) -> None:
    made = repository(server, tmp_path, key)
    assert made.check().default_branch == "main"
    assert made.fetch(0)
    assert [commit.subject for commit in made.log(None, made.resolve("main").sha, 9)] == [
        "Add manifests",
        "First",
    ]
    newer = origin.commit("Newer", {"README.md": "hello again\n"})
    assert made.fetch(0)
    assert made.resolve("main").sha == newer
    assert made.files(newer, "")["README.md"] == b"hello again\n"
    origin.git("checkout", "-q", "-b", "gone")
    gone = origin.commit("On a branch that goes")
    origin.git("checkout", "-q", "main")
    origin.git("branch", "-q", "-D", "gone")
    origin.push()
    origin.git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=origin.bare)
    assert made.log(None, gone, 1)[0].subject == "On a branch that goes"
    assert logins(server) >= 4


@pytest.mark.parametrize(
    "options",
    [("-t", "rsa", "-b", "2048"), ("-t", "ecdsa", "-m", "PEM"), ("-t", "rsa", "-b", "2048", "-m", "PEM")],
)
def test_older_kinds_of_keys_work_too(server: SshServer, tmp_path: Path, options: tuple[str, ...]) -> None:
    text = make_key(tmp_path / "other", *options)
    server.allow(tmp_path / "other.pub")
    pasted = text.strip().replace("\n", "\r\n")
    assert repository(server, tmp_path, pasted).check().default_branch == "main"


def test_a_wrong_key_is_refused(server: SshServer, key: str, tmp_path: Path) -> None:
    wrong = make_key(tmp_path / "wrong")
    made = repository(server, tmp_path, wrong)
    for ask in (made.check, lambda: made.fetch(0)):
        with pytest.raises(Denied, match=r"127\.0\.0\.1:\d+ refused the authentication") as caught:
            ask()
        assert "Check the Git credential" in caught.value.hint
    assert made.fetched_at() is None
    assert logins(server) == 0


def test_a_key_that_was_right_once_reads_nothing(
    server: SshServer, key: str, origin: Origin, tmp_path: Path
) -> None:
    """A key that the host took back: told as what it is; nothing is readable any more."""
    made = repository(server, tmp_path, key)
    made.fetch(0)
    (server.folder / "authorized_keys").write_text("")
    with pytest.raises(Denied, match="refused the authentication"):
        made.fetch(0)
    with pytest.raises(NotFound, match="has not been fetched yet"):
        made.resolve("main")


def test_without_a_key_it_is_said_that_one_is_needed(server: SshServer, tmp_path: Path, monkeypatch) -> None:
    """Keys and agents of whoever runs the portal are not tried."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    make_key(home / ".ssh" / "id_ed25519")
    server.allow(home / ".ssh" / "id_ed25519.pub")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(Denied, match="refused the authentication") as caught:
        repository(server, tmp_path).check()
    assert "enter a token or a deploy key" in caught.value.hint
    assert logins(server) == 0


def test_a_repository_that_is_not_there(server: SshServer, key: str, tmp_path: Path) -> None:
    missing = repository(server, tmp_path, key, url=f"{server.url}-other")
    with pytest.raises(NotFound, match="knows no such repository"):
        missing.check()
    assert logins(server) == 1, "the key was good"


def test_a_host_is_trusted_at_first_sight_and_held_to_its_key(
    server: SshServer, key: str, tmp_path: Path
) -> None:
    made = repository(server, tmp_path, key)
    made.fetch(0)
    seen = known_hosts(tmp_path).read_text()
    assert f"[127.0.0.1]:{server.port} ssh-ed25519 " in seen
    before = logins(server)
    server.stop()
    server.new_host_key()
    server.start()
    with pytest.raises(
        UntrustedHost, match="does not show the key it showed before; nothing was sent to it"
    ) as caught:
        made.fetch(0)
    assert logins(server) == before, "a host that may be another one was not even shown our public key"
    assert known_hosts(tmp_path).read_text() == seen
    assert "remove its line from known_hosts" in caught.value.hint
    known_hosts(tmp_path).unlink()  # as the hint says
    assert made.fetch(0)
    assert known_hosts(tmp_path).read_text() != seen


def test_a_host_whose_key_is_not_the_noted_one_is_refused_before_anything_is_sent(
    server: SshServer, key: str, tmp_path: Path
) -> None:
    """Who wants no trust at first sight notes the host's key beforehand."""
    make_key(tmp_path / "noted")
    known_hosts(tmp_path).parent.mkdir()
    public = (tmp_path / "noted.pub").read_text()
    known_hosts(tmp_path).write_text(f"[127.0.0.1]:{server.port} {public}")
    with pytest.raises(UntrustedHost, match="nothing was sent to it"):
        repository(server, tmp_path, key).check()
    assert logins(server) == 0
    assert "Failed publickey" not in server.log


def test_a_server_that_is_gone(server: SshServer, key: str, origin: Origin, tmp_path: Path) -> None:
    made = repository(server, tmp_path, key)
    made.fetch(0)
    server.stop()
    began = time.monotonic()
    for ask in (made.check, lambda: made.fetch(0)):
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+ is not reachable") as caught:
            ask()
        assert not caught.value.permanent
    assert time.monotonic() - began < 40
    assert made.resolve("main").subject == "Add manifests"
    server.start()
    newer = origin.commit("Newer")
    made.fetch(0)
    assert made.resolve("main").sha == newer


def test_a_server_that_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ssh://git@127.0.0.1:{silent.getsockname()[1]}/shop.git"
        made = GitRepository(url, mirror=tmp_path, credential=None, protocols=("ssh",), networks=LOOPBACK)
        began = time.monotonic()
        with pytest.raises(TimedOut, match="no complete answer within 1 seconds"):
            made.check(timeout=1)
        assert time.monotonic() - began < 40


@pytest.mark.parametrize("options", [(), ("-m", "PEM", "-t", "ecdsa"), ("-m", "PKCS8", "-t", "ecdsa")])
def test_a_key_with_a_passphrase_is_refused_before_the_host_is_asked(
    server: SshServer, tmp_path: Path, options: tuple[str, ...]
) -> None:
    text = make_key(tmp_path / "locked", "-N", "secret", *options)
    server.allow(tmp_path / "locked.pub")
    before = server.log
    with pytest.raises(UnusableKey, match="passphrase"):
        repository(server, tmp_path, text)
    assert server.log == before


def test_a_key_that_was_cut_while_pasting_is_not_blamed_on_the_host(
    server: SshServer, key: str, tmp_path: Path
) -> None:
    lines = key.strip().splitlines()
    cut = "\n".join([lines[0], *lines[1:-2], lines[-1]])
    with pytest.raises(UnusableKey, match="deploy key cannot be read") as caught:
        repository(server, tmp_path, cut).check()
    assert "/proc/" not in caught.value.message + caught.value.hint


def test_nothing_of_the_key_is_left(server: SshServer, key: str, tmp_path: Path) -> None:
    made = repository(server, tmp_path, key)
    made.fetch(0)
    body = key.splitlines()[1]
    folder = tmp_path / "mir rors 100%"
    assert not [path for path in folder.rglob("*") if path.is_file() and body.encode() in path.read_bytes()]
