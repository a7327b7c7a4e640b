"""ECR and its registries in memory, put in place of the adapters. test_outside.py holds them to what the adapters do."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from adapters.aws.ecr import RegistryToken
from adapters.errors import Denied, NotFound, Unavailable
from adapters.registry import Expired


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class World:
    """`fails`: raised by AWS; `silent`, `refusing`: hosts of registries; `images`: (repository, reference) that there are;
    `closed`: repositories that nobody may pull from; `session`: life of the STS session, if any."""

    life: timedelta = timedelta(hours=12)
    session: timedelta | None = None
    fails: Exception | None = None
    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    images: set[tuple[str, str]] = field(default_factory=set)
    issued: dict[str, datetime] = field(default_factory=dict)  # password → its end
    asked: list[str] = field(default_factory=list)
    slow: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def last(self) -> str:
        """The newest password."""
        return list(self.issued)[-1]

    def opens(self, password: str) -> bool:
        """Whether a registry would let it in now."""
        return password in self.issued and self.issued[password] > now()


class FakeEcr:
    """adapters.aws.ecr.Ecr, of which only tokens are asked here."""

    def __init__(self, world: World, region: str) -> None:
        self.world = world
        self.region = region

    def token(self) -> RegistryToken:
        with self.world._lock:
            self.world.asked.append(self.region)
            number = len(self.world.asked)
        if self.world.slow:
            threading.Event().wait(self.world.slow)
        if self.world.fails:
            raise self.world.fails
        password = f"canary-registry-token-{self.region}-{number}"
        ends = now() + self.world.life
        session = now() + self.world.session if self.world.session else None
        self.world.issued[password] = min(ends, session or ends)
        return RegistryToken("AWS", password, ends, "https://example", session)


class FakeRegistry:
    """adapters.registry.Registry."""

    def __init__(self, world: World, endpoint: str, username: str = "", password: str = "") -> None:
        self.world = world
        self.host = urlsplit(endpoint).netloc
        self.password = password

    def sign_in(self) -> None:
        if self.host in self.world.silent:
            raise Unavailable(f"The registry {self.host} is not reachable.", system="the registry")
        if not self.world.opens(self.password):
            raise Expired(
                f"The pull credential of {self.host} has expired.", system="the registry", hint="Renew it."
            )
        if self.host in self.world.refusing:
            raise Denied(f"The pull credential of {self.host} may not sign in.", system="the registry")

    def digest(self, repository: str, reference: str) -> str:
        self.sign_in()
        if repository in self.world.closed:
            raise Denied(
                f"The pull credential of {self.host} may not pull from {repository}.", system="the registry"
            )
        if (repository, reference) not in self.world.images:
            raise NotFound(
                f"The registry {self.host} has no image {repository}:{reference}.", system="the registry"
            )
        return "sha256:" + "1" * 64
