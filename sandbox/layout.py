"""A sandbox's folder, ports and keys. All of them survive a restart.

Seeding and other programs that work on a running sandbox read them from `SANDBOX_DIR`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SlipwayError
from sandbox.github.repositories import OWNER
from sandbox.processes import port_is_free, remembered_ports

ROOT = Path(__file__).resolve().parent.parent  # of the project: programs are started here
PORT_NAMES = ("redis", "aws", "git", "slack", "github")
# The portal's port and the engine's address, for programs that work on the running sandbox.
_STARTED = "started.json"
_KEPT_ADDRESSES = {"aws": "registry", "git": "Git server"}  # manifests and the portal's database contain them


@dataclass(frozen=True)
class Keys:
    """Secrets made once for this sandbox."""

    password: str  # of all sample people
    secret_key: str
    encryption_key: str
    digest_key: str
    git_token: str
    slack_token: str
    github_webhook_secret: str
    github_token: str


@dataclass(frozen=True)
class Layout:
    """One sandbox: its folder, the portal's port, the ports of its services, its keys, and the address of the Docker engine
    that builds its images (empty: none does)."""

    directory: Path
    port: int
    ports: dict[str, int]
    keys: Keys
    docker_host: str = ""

    @property
    def portal_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def aws_url(self) -> str:
        """The URL of AWS's APIs and of the registry."""
        return f"http://127.0.0.1:{self.ports['aws']}"

    @property
    def registry_host(self) -> str:
        """The beginning of image references."""
        return f"127.0.0.1:{self.ports['aws']}"

    @property
    def slack_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['slack']}/"

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.ports['redis']}/0"

    def git_url(self, repository: str) -> str:
        """The address of a repository such as `storefront.git`; `keys.git_token` opens it."""
        return f"{self.git_server}/{OWNER}/{repository}"

    @property
    def git_server(self) -> str:
        """The URL of the Git server."""
        return f"http://127.0.0.1:{self.ports['git']}"

    @property
    def github_url(self) -> str:
        """The page of the GitHub end. Its API is below `api/v3`."""
        return f"http://127.0.0.1:{self.ports['github']}/"

    @property
    def repositories(self) -> Path:
        """The folder of the bare repositories."""
        return self.directory / "git"

    @property
    def world_note(self) -> Path:
        """The file that records the created samples."""
        return self.directory / "world.json"

    def log(self, name: str) -> Path:
        """The file with the output of a program."""
        return self.directory / "logs" / f"{name}.log"


def database_url(directory: Path) -> str:
    """The address of the portal's database: `SANDBOX_DATABASE_URL`, else a SQLite file in the folder."""
    return os.environ.get("SANDBOX_DATABASE_URL") or f"sqlite:///{directory / 'slipway.sqlite3'}"


def sandbox_directory() -> Path:
    """The folder that `SANDBOX_DIR` names, else `.sandbox` in the project."""
    return Path(os.environ.get("SANDBOX_DIR") or ROOT / ".sandbox").resolve()


def portal_port() -> int:
    """The portal's port, from `PORT` (8000). Raises SlipwayError when it is no port."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SlipwayError(f"PORT is {text!r}, which is no port.", hint="Write a number from 1 to 65535.")
    return int(text)


def load(directory: Path, port: int, docker_host: str = "") -> Layout:
    """The sandbox of a folder, which is created at first use with mode 700. Raises SlipwayError when that fails."""
    for folder in (directory, directory / "logs"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / _STARTED).write_text(json.dumps({"port": port, "docker_host": docker_host}))
    keys = load_keys(directory / "keys.json")
    return Layout(directory, port, _ports(directory / "ports.json"), keys, docker_host)


def running(directory: Path) -> Layout:
    """The sandbox that runs in a folder, with its recorded ports, for programs that work on it. Raises OSError."""
    ports = json.loads((directory / "ports.json").read_text())
    note = directory / _STARTED
    started = json.loads(note.read_text()) if note.exists() else {}
    port = portal_port() if os.environ.get("PORT") else started.get("port", portal_port())
    keys = load_keys(directory / "keys.json")
    return Layout(directory, port, ports, keys, started.get("docker_host", ""))


def check_ports(layout: Layout) -> None:
    """Raises SlipwayError when the portal's port is taken. Called before anything is started."""
    if not port_is_free(layout.port):
        raise SlipwayError(
            f"Port {layout.port} is taken by another program, so the portal cannot listen there. Nothing was started.",
            hint=f"End that program, or choose another port: PORT={layout.port + 1} make sandbox",
        )


def _ports(note: Path) -> dict[str, int]:
    """The services' ports. Manifests and the database contain some of them, so they must be the previous run's."""
    before = json.loads(note.read_text()) if note.exists() else {}
    for name, what in _KEPT_ADDRESSES.items():
        if name in before and not port_is_free(before[name]):
            raise SlipwayError(
                f"Port {before[name]}, the address of the sandbox's {what} since its first start, is taken by "
                "another program. Nothing was started.",
                hint="End that program, or begin anew by `make sandbox-reset`.",
            )
    return remembered_ports(note, PORT_NAMES)


def load_keys(path: Path) -> Keys:
    """The keys of a sandbox, made at first use; an older sandbox gets those that it lacks. Only their owner can read the file."""
    held = json.loads(path.read_text()) if path.exists() else {}
    keys = {**_new_keys(), **held}
    if keys.keys() != held.keys():
        new = path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(keys, file, indent=1)
        new.replace(path)
    return Keys(**keys)


def _new_keys() -> dict[str, str]:
    return {
        "password": f"sandbox-{secrets.token_hex(5)}",
        "secret_key": secrets.token_urlsafe(48),
        "encryption_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "digest_key": secrets.token_hex(32),
        "git_token": f"ghp_{secrets.token_hex(18)}",
        "slack_token": f"xoxb-{secrets.token_hex(12)}",
        "github_webhook_secret": secrets.token_hex(20),
        "github_token": f"ghp_{secrets.token_hex(18)}",
    }
