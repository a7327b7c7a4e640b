"""A real Docker engine and a real registry for tests, each a child process in a folder of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from adapters.docker.engine import Engine
from adapters.errors import ExternalError
from tests.redis_server import free_port

PATIENCE = 60.0
PASSWORD = "opens-the-registry"
# Of PASSWORD, by bcrypt: the only form that the registry takes.
LOGIN = "AWS:$2b$05$cB7myjHhFVrlohBNBihx8.dQQbSL7VvWVOY.d0LyRo2r672FNkt3G"


def why_none() -> str:
    """Why no engine can be started here; empty when one can."""
    if os.getuid() != 0:
        return "no Docker engine: starting dockerd needs root (or name a running one in SLIPWAY_TEST_DOCKER)"
    if shutil.which("dockerd") is None:
        return "no Docker engine: dockerd is not installed (Debian: docker.io)"
    if shutil.which("ip") is None:
        return "no Docker engine: its network is made with ip (Debian: iproute2)"
    if not Path("/bin/busybox").exists():
        return (
            "no Docker engine: the images of the tests are made of a static busybox (Debian: busybox-static)"
        )
    return ""


@dataclass
class Daemon:
    """A dockerd that tests may kill and start again."""

    folder: Path
    bridge: str
    more: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Its address, as in DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        """Starts it and waits until it answers. It changes no rules of the host's network, and has a bridge of its own: with
        none it would remove the one of other engines."""
        command = [
            "dockerd", "--data-root", f"{self.folder}/data", "--exec-root", f"{self.folder}/exec", "-H", self.host,
            "-p", f"{self.folder}/pid", "--bridge", self.bridge, "--iptables=false", "--ip6tables=false", "--ip-masq=false",
            *self.more,
        ]  # fmt: skip
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until(lambda: answers(self.host), "dockerd answers", self.process)

    def kill(self) -> None:
        """Kills it the hard way, with its containerd."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        end_containerd(self.folder)
        # Where process 1 does not wait for orphans, their ids would count as taken.
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / name).unlink(missing_ok=True)

    def stop(self) -> None:
        """Stops it in order, with the containers and the containerd that it started."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE)
        end_containerd(self.folder)


def end_containerd(folder: Path) -> None:
    """Ends the containerd of a dockerd that was killed: it outlives it."""
    try:
        pid = int((folder / "exec" / "containerd" / "containerd.pid").read_text())
        os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError):
        return


def answers(host: str) -> bool:
    try:
        Engine(host, timeout=5).facts()
    except ExternalError:
        return False
    return True


def until(condition: Callable[[], object], what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Waits for a condition. Raises AssertionError when it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, f"it ended before {what}"
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.05)


@contextmanager
def dockerd(*more: str) -> Iterator[Daemon]:
    """Runs a dockerd during the block, with more arguments."""
    # Not below pytest's folder: the path of a socket has at most 107 characters.
    with (
        tempfile.TemporaryDirectory(prefix="slipway-docker-", ignore_cleanup_errors=True) as name,
        bridge() as network,
    ):
        daemon = Daemon(Path(name), network, more)
        try:
            daemon.start()
            yield daemon
        finally:
            daemon.stop()
            unmount(name)


@contextmanager
def bridge() -> Iterator[str]:
    """A bridge for the containers of one engine; its name."""
    number = next(_numbers)
    name, address = f"sw{os.getpid()}n{number}", f"198.18.{os.getpid() % 250}.{number * 16 + 1}/28"
    ip("link", "add", "name", name, "type", "bridge")
    try:
        ip("address", "add", address, "dev", name)
        ip("link", "set", name, "up")
        yield name
    finally:
        ip("link", "delete", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


_numbers = itertools.count()


def unmount(folder: str) -> None:
    """Unmounts what a killed dockerd left mounted below the folder."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((one for one in mounted if one.startswith(folder)), reverse=True):
        subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)


CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: ecr, path: {folder}/htpasswd}}}}
"""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """Docker's own registry with a password, as user AWS; its address."""
    port = free_port()
    folder.mkdir()
    (folder / "htpasswd").write_text(LOGIN + "\n")
    (folder / "config.yml").write_text(CONFIG.format(folder=folder, port=port))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: status(f"{url}/v2/") == 401, "the registry answers", process)
        assert status(f"{url}/v2/", ("AWS", PASSWORD)) == 200
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE)


def status(url: str, auth: tuple[str, str] | None = None) -> int:
    try:
        return requests.get(url, auth=auth, timeout=5).status_code
    except requests.ConnectionError:
        return 0
