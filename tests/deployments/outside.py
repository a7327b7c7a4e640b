"""Git, AWS and a cluster in memory, put in place of the adapters where rows become adapters (projects/connections)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.aws.ecr import ImageFacts
from adapters.aws.secrets_manager import SecretText
from adapters.errors import NotFound
from adapters.git.repository import Branch, Commit
from engine.cluster.client import Answer, ApiError
from engine.types import Json

CONFIG_MAP = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  LEVEL: info\n"
REFERENCE = b'apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  TOKEN: ""\n'
POPULATED = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  TOKEN: Y2FuYXJ5LXRva2VuLXZhbHVl\n"
CANARY = "canary-token-value"


def commit(letter: str, subject: str = "") -> Commit:
    return Commit(letter * 40, subject or f"Change {letter}", "Ana", datetime(2026, 11, 1, 9, 0, tzinfo=UTC))


@dataclass
class Outside:
    """What there is outside. `fails`: an error by the name of the system (git, secrets, ecr, cluster), raised by all it is
    asked; `refuses`: an error for every object that is dry-run; `asked`: tags that the registry was asked for."""

    commits: list[Commit] = field(default_factory=lambda: [commit("c"), commit("b"), commit("a")])
    branches: dict[str, str] = field(default_factory=lambda: {"main": "c" * 40})
    files: dict[str, bytes] = field(default_factory=lambda: {"settings.yaml": CONFIG_MAP})
    secrets: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=lambda: {"c" * 7, "b" * 7, "a" * 7})
    objects: dict[str, Json] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    refuses: Exception | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def check(self, system: str) -> None:
        """Raises what this system is to fail with."""
        if system in self.fails:
            raise self.fails[system]


class FakeGit:
    """adapters.git.GitRepository."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def fetch(self, max_age: float = 0, timeout: float = 0) -> bool:
        self.outside.check("git")
        return True

    def fetched_at(self) -> datetime | None:
        return datetime(2026, 11, 1, tzinfo=UTC)

    def branches(self) -> list[Branch]:
        return [Branch(name, self.find(sha)) for name, sha in self.outside.branches.items()]

    def find(self, sha: str) -> Commit:
        return next(one for one in self.outside.commits if one.sha == sha)

    def resolve(self, text: str) -> Commit:
        wanted = self.outside.branches.get(text, text)
        for one in self.outside.commits:
            if len(wanted) >= 7 and one.sha.startswith(wanted):
                return one
        raise NotFound(f"The repository has no revision “{text}”.", system="Git", hint="Was it pushed?")

    def log(self, base: str | None, head: str, limit: int, **_: Any) -> list[Commit]:
        shas = [one.sha for one in self.outside.commits]
        end = shas.index(base) if base in shas else len(shas)
        return self.outside.commits[shas.index(head) : end][:limit]

    def count(self, base: str, head: str) -> tuple[int, int]:
        shas = [one.sha for one in self.outside.commits]
        if base not in shas:
            raise NotFound("The repository has no such commit any more.", system="Git")
        ahead = shas.index(base) - shas.index(head)
        return max(ahead, 0), max(-ahead, 0)

    def files(self, sha: str, directory: str, recursive: bool = True) -> dict[str, bytes]:
        self.outside.check("files")
        return self.outside.files


class FakeSecrets:
    """adapters.secrets_manager.SecretsManager."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def get(self, secret_id: str, version_id: str = "") -> SecretText:
        self.outside.check("secrets")
        if secret_id not in self.outside.secrets:
            raise NotFound(f"There is no secret {secret_id}.", system="Secrets Manager")
        return SecretText("version-1", self.outside.secrets[secret_id], datetime(2026, 11, 1, tzinfo=UTC))


class FakeEcr:
    """adapters.ecr.Ecr."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def digests(self, repository: str, tags: Sequence[str]) -> dict[str, ImageFacts]:
        self.outside.asked.append(tuple(tags))
        self.outside.check("ecr")
        facts = ImageFacts("sha256:" + "1" * 64, None, 1, "ACTIVE")
        return {tag: facts for tag in tags if tag in self.outside.tags}


class FakeCluster:
    """An API server on which nothing exists but `outside.objects`, and which accepts what it is shown."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def send(self, method: str, path: str, *, body: Any = None, **_: Any) -> Answer:
        self.outside.check("cluster")
        if method == "PATCH":
            if self.outside.refuses:
                raise self.outside.refuses
            return Answer(201, body)
        if path in self.outside.objects:
            return Answer(200, self.outside.objects[path])
        raise ApiError("not found", status=404, reason="NotFound")

    def request(self, method: str, path: str, **options: Any) -> Json:
        return self.send(method, path, **options).body

    def discover(self, group: str, version: str) -> list[Any]:
        self.outside.check("cluster")
        return []

    def close(self) -> None:
        """Nothing is open."""
