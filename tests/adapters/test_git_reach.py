"""Addresses that Git may not connect to, and mirrors that one credential filled and another may not read."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import Denied, NotFound, Unavailable
from adapters.git import reach
from adapters.git.folders import remove_unused
from adapters.git.repository import GitCredential, GitRepository
from tests.environment import LOOPBACK

TOKEN = "canary-token-7f3a"
PUBLIC = "93.184.216.34"


def allowed(address: str, *networks: str) -> bool:
    return reach.is_allowed(ipaddress.ip_address(address), networks)


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "fe80::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "224.0.0.1",
    "255.255.255.255", "fec0::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not_allowed(address: str) -> None:
    assert not allowed(address)


def test_public_addresses_are_and_named_networks_too() -> None:
    assert allowed(PUBLIC)
    assert allowed("2606:2800:220:1:248:1893:25c8:1946")
    assert allowed("10.1.2.3", "10.0.0.0/8")
    assert allowed("::ffff:10.1.2.3", "10.0.0.0/8")
    assert not allowed("10.1.2.3", "10.2.0.0/16", "fc00::/7")


ADDRESSES = [
    "https://127.0.0.1/a/b.git", "https://localhost:6379/a/b.git", "https://127.1/a/b.git", "https://2130706433/a/b.git",
    "https://0x7f000001/a/b.git", "https://[::1]/a/b.git", "https://[::ffff:127.0.0.1]/a.git", "ssh://git@127.0.0.1:22/a.git",
    "git@localhost:a/b.git", "http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/a.git",
]  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_no_connection_is_made_there(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.git.command.processes.run", lambda *_, **__: pytest.fail("Git was started"))
    made = GitRepository(url, mirror=tmp_path, credential=None, protocols=("https", "http", "ssh"))
    with pytest.raises(Unavailable, match="is not reachable") as caught:
        made.check()
    assert "GIT_PRIVATE_NETWORKS" in caught.value.hint


def test_a_public_name_that_leads_into_a_private_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolves(host: str, port: int, **_: Any) -> Any:
        return [(0, 0, 0, "", (PUBLIC, port)), (0, 0, 0, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolves)
    with pytest.raises(Unavailable, match=r"evil\.example is not reachable"):
        reach.pin("https://evil.example/a.git", (), timeout=5)


@pytest.mark.parametrize(
    ("url", "for_git", "ssh"),
    [
        ("https://git.example/a.git", {"http.curloptResolve": f"git.example:443:{PUBLIC}"}, {}),
        ("https://git.example:8443/a.git", {"http.curloptResolve": f"git.example:8443:{PUBLIC}"}, {}),
        ("git@git.example:a.git", {}, {"HostName": PUBLIC, "HostKeyAlias": "git.example"}),
        ("ssh://git@git.example:2222/a.git", {}, {"HostName": PUBLIC, "HostKeyAlias": "[git.example]:2222"}),
    ],
)
def test_git_is_bound_to_the_checked_address(
    url: str, for_git: dict[str, str], ssh: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name cannot lead elsewhere between the check and the connection."""
    monkeypatch.setattr(reach, "_resolve", lambda *_: [ipaddress.ip_address(PUBLIC)])
    assert reach.pin(url, (), timeout=5) == reach.Pin(for_git, ssh)


def test_git_really_connects_to_the_bound_address(
    git_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that no name service knows: only the binding leads Git to the test's server."""
    monkeypatch.setattr(reach, "_resolve", lambda *_: [ipaddress.ip_address("127.0.0.1")])
    url = f"{git_server.url.replace('127.0.0.1', 'git.invalid')}/shop.git"
    credential = GitCredential(token=TOKEN)
    made = GitRepository(url, mirror=tmp_path, credential=credential, protocols=("http",), networks=LOOPBACK)
    assert made.check().default_branch == "main"


def test_all_reasons_have_one_sentence(tmp_path: Path) -> None:
    """A port that nobody listens on, one where something else answers, a private address and a name that is none."""
    said = set()
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    for url, networks in (
        (f"https://127.0.0.1:{port}/a.git", LOOPBACK),
        ("https://10.255.255.1/a.git", ()),
        ("https://name.invalid/a.git", ()),
    ):
        made = GitRepository(url, mirror=tmp_path, credential=None, protocols=("https",), networks=networks)
        with pytest.raises(Unavailable) as caught:
            made.check()
        host = url.split("/")[2]
        sentence = caught.value.message.replace(host, "HOST").replace(host.split(":")[0], "HOST")
        said.add((sentence, caught.value.hint, caught.value.permanent))
    assert len(said) == 1


# A mirror for each credential


def opened(git_server: Any, folder: Path, token: str) -> GitRepository:
    credential = GitCredential(token=token)
    url = f"{git_server.url}/shop.git"
    return GitRepository(url, mirror=folder, credential=credential, protocols=("http",), networks=LOOPBACK)


def test_a_revoked_credential_reads_nothing_also_not_what_others_fetch(
    git_server: Any, origin: Any, tmp_path: Path
) -> None:
    git_server.also.add("second")
    revoked, other = opened(git_server, tmp_path / "m", "second"), opened(git_server, tmp_path / "m", TOKEN)
    revoked.fetch(0)
    other.fetch(0)
    git_server.also.clear()
    new = origin.commit("Secret plan", {"plan.txt": "x"})
    other.fetch(0)
    for read in (lambda: revoked.log(None, new, 1), lambda: revoked.files(new, "")):
        with pytest.raises((Denied, NotFound)):
            read()
    with pytest.raises(Denied):
        revoked.fetch(0)
    for read in (lambda: revoked.resolve("main"), revoked.branches, lambda: revoked.files(new, "")):
        with pytest.raises((Denied, NotFound)):
            read()
    assert revoked.fetched_at() is None
    assert other.resolve("main").sha == new
    git_server.also.add("second")
    revoked.fetch(0)
    assert revoked.resolve("main").sha == new


def test_a_repository_that_is_hidden_from_the_credential_is_closed_too(
    git_server: Any, tmp_path: Path
) -> None:
    made = opened(git_server, tmp_path / "m", TOKEN)
    made.fetch(0)

    def hides(environ: Any, start: Any) -> list[bytes]:
        start("404 Not Found", [])
        return [b""]

    git_server.answer = hides
    with pytest.raises(NotFound):
        made.check()
    with pytest.raises(NotFound, match="has not been fetched yet"):
        made.resolve("main")


def test_a_host_that_is_away_closes_nothing(git_server: Any, tmp_path: Path) -> None:
    made = opened(git_server, tmp_path / "m", TOKEN)
    made.fetch(0)

    def breaks(environ: Any, start: Any) -> list[bytes]:
        start("503 Service Unavailable", [])
        return [b""]

    git_server.answer = breaks
    with pytest.raises(Unavailable):
        made.fetch(0)
    assert made.resolve("main").subject == "Add manifests"


def test_a_new_credential_keeps_the_commits_of_deleted_branches(
    git_server: Any, origin: Any, tmp_path: Path
) -> None:
    """A release or a rollback may name them, and the host need not serve them any more."""
    origin.git("checkout", "-q", "-b", "short-lived")
    gone = origin.commit("Gone", {"gone.txt": "x"})
    opened(git_server, tmp_path / "m", TOKEN).fetch(0)
    origin.git("checkout", "-q", "main")
    origin.git("branch", "-q", "-D", "short-lived")
    origin.push()
    git_server.also.add("second")
    renewed = opened(git_server, tmp_path / "m", "second")
    renewed.fetch(0)
    assert renewed.log(None, gone, 1, ask_host=False)[0].subject == "Gone"
    assert [branch.name for branch in renewed.branches()] == ["main"]


def test_a_credential_that_never_opened_it_borrows_nothing(git_server: Any, tmp_path: Path) -> None:
    opened(git_server, tmp_path / "m", TOKEN).fetch(0)
    stranger = opened(git_server, tmp_path / "m", "wrong")
    with pytest.raises(Denied):
        stranger.fetch(0)
    assert not (tmp_path / "m" / stranger.mirror_name).exists()


def test_a_mirror_that_no_project_uses_is_removed_after_a_while(git_server: Any, tmp_path: Path) -> None:
    git_server.also.add("second")
    used, unused = opened(git_server, tmp_path / "m", TOKEN), opened(git_server, tmp_path / "m", "second")
    used.fetch(0)
    unused.fetch(0)
    assert remove_unused(tmp_path / "m", used={used.mirror_name}, older_than=3600) == []
    for path in [
        tmp_path / "m" / unused.mirror_name,
        *(tmp_path / "m" / unused.mirror_name / "slipway").glob("*"),
    ]:
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    assert remove_unused(tmp_path / "m", used={used.mirror_name}, older_than=3600) == [unused.mirror_name]
    assert used.resolve("main").subject == "Add manifests"


def test_a_redirect_is_not_followed_without_a_credential_either(git_server: Any, tmp_path: Path) -> None:
    seen: list[str] = []

    def redirects(environ: Any, start: Any) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start(
            "302 Found", [("Location", f"{git_server.url}/elsewhere.git/info/refs?service=git-upload-pack")]
        )
        return [b""]

    git_server.answer = redirects
    url = f"{git_server.url}/shop.git"
    made = GitRepository(url, mirror=tmp_path, credential=None, protocols=("http",), networks=LOOPBACK)
    with pytest.raises(NotFound, match="has moved"):
        made.check()
    assert seen == ["/shop.git/info/refs"]
