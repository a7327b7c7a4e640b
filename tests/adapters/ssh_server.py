"""A real OpenSSH server on 127.0.0.1 that hands out one repository, as a Git host does: a child of the test with a
configuration, host key and authorized keys of its own, all in the test's folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# As a Git host does: whatever the key asks for, it may only read repositories.
_READ_ONLY = 'restrict,command="git-shell -c \\"$SSH_ORIGINAL_COMMAND\\""'
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AcceptEnv GIT_PROTOCOL
LogLevel VERBOSE
"""


def sshd_program() -> str:
    """The server's program. Skips the test where it is not there, or cannot be started."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found or not shutil.which("ssh-keygen"):
        pytest.skip("no OpenSSH server is installed (Debian: openssh-server)")
    if os.getuid() == 0 and not Path("/run/sshd").is_dir():
        pytest.skip(
            "sshd started by root needs the folder /run/sshd, which its package makes (mkdir /run/sshd)"
        )
    return found


def make_key(path: Path, *options: str) -> str:
    """A new private key at `path`, its public half beside it; options as ssh-keygen's. The private key's text."""
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    given = options if "-N" in options else ("-N", "", *options)
    kind = () if "-t" in options else ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *kind, "-C", "test", *given, "-f", str(path)], check=True)
    return path.read_text()


@dataclass
class SshServer:
    """The server. `url`: of the repository it hands out."""

    folder: Path
    repository: Path
    port: int
    program: str
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.repository}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "log").read_text()

    def allow(self, public_key: Path) -> None:
        """Lets this key read."""
        with open(self.folder / "authorized_keys", "a") as file:
            file.write(f"{_READ_ONLY} {public_key.read_text()}")

    def new_host_key(self) -> None:
        """It shows another key from its next start on."""
        make_key(self.folder / "host_key")

    def start(self) -> None:
        config = self.folder / "config"
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder))
        with open(self.folder / "log", "ab") as log:
            self._child = subprocess.Popen(
                [self.program, "-D", "-e", "-f", str(config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"sshd did not start: {self.log}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends it. Stopped twice is stopped."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait(10)
            self._child = None
