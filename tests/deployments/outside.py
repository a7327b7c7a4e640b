"""Git, AWS and a cluster in memory, put in place of the adapters where rows become adapters (projects/connections).

test_outside.py holds them to what the real adapters do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.aws.ecr import ImageFacts
from adapters.aws.secrets_manager import SecretText
from adapters.errors import NotFound
from adapters.git.names import check_revision, is_short_commit
from adapters.git.repository import Branch, Commit, Limits
from adapters.git.tree import Wanted, everything
from engine.cluster.client import ACCEPT_JSON, Answer, ApiError, Resource
from engine.types import Json

CONFIG_MAP = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  LEVEL: info\n"
REFERENCE = b'apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\nstringData:\n  TOKEN: ""\n'
POPULATED = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n  TOKEN: Y2FuYXJ5LXRva2VuLXZhbHVl\n"
CANARY = "canary-token-value"
VERSION = "version-1"  # of every secret, until another one is stored


def commit(letter: str, subject: str = "") -> Commit:
    return Commit(letter * 40, subject or f"Change {letter}", "Ana", datetime(2026, 11, 1, 9, 0, tzinfo=UTC))


@dataclass
class Outside:
    """What there is outside. `fails`: an error by the name of the system (git, secrets, ecr, cluster), raised by all it is
    asked; `refuses`: an error for every object that is dry-run; `asked`: tags that the registry was asked for; `versions`,
    `past`: the current VersionId of each secret, and the texts of older ones; `others`: files that differ at a commit; `left`:
    commits that no branch has any more."""

    commits: list[Commit] = field(default_factory=lambda: [commit("c"), commit("b"), commit("a")])
    branches: dict[str, str] = field(default_factory=lambda: {"main": "c" * 40})
    files: dict[str, bytes] = field(default_factory=lambda: {"settings.yaml": CONFIG_MAP})
    secrets: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=lambda: {"c" * 7, "b" * 7, "a" * 7})
    objects: dict[str, Json] = field(default_factory=dict)
    fails: dict[str, Exception] = field(default_factory=dict)
    refuses: Exception | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    past: dict[tuple[str, str], str] = field(default_factory=dict)
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)

    def store(self, secret_id: str, text: str, version: str) -> None:
        """Another version of a secret becomes the current one; the old one can still be read."""
        self.past[secret_id, self.versions.get(secret_id, VERSION)] = self.secrets[secret_id]
        self.secrets[secret_id], self.versions[secret_id] = text, version

    def check(self, system: str) -> None:
        """Raises what this system is to fail with."""
        if system in self.fails:
            raise self.fails[system]


class FakeGit:
    """adapters.git.repository.GitRepository, of one line of commits. The directory asked for is always there."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def fetch(self, max_age: float, *, timeout: float = 0) -> bool:
        self.outside.check("git")
        return True

    def fetched_at(self) -> datetime | None:
        return datetime(2026, 11, 1, tzinfo=UTC)

    def branches(self) -> list[Branch]:
        return [Branch(name, self._known(sha)) for name, sha in self.outside.branches.items()]

    def contains(self, ref: str, sha: str) -> bool:
        self.outside.check("git")
        check_revision(ref)
        return self._known(sha) is not None and sha not in self.outside.left

    def resolve(self, text: str) -> Commit:
        name = check_revision(text.strip())
        branches = self.outside.branches
        wanted = branches.get(name) or branches.get(name.removeprefix("refs/heads/"), name)
        for one in self.outside.commits:
            if one.sha == wanted or (is_short_commit(wanted) and one.sha.startswith(wanted)):
                return one
        raise self._unknown(name)

    def log(
        self, base: str | None, head: str, limit: int, *, first_parent: bool = False, ask_host: bool = True
    ) -> list[Commit]:
        end = len(self.outside.commits) if base is None else self._place(base)
        return self.outside.commits[self._place(head) : end][:limit]

    def count(self, base: str, head: str) -> tuple[int, int]:
        ahead = self._place(base) - self._place(head)
        return max(ahead, 0), max(-ahead, 0)

    def files(
        self, sha: str, directory: str, *, recursive: bool = True, limits: Limits | None = None,
        wanted: Wanted = everything,
    ) -> dict[str, bytes]:  # fmt: skip
        self.outside.check("files")
        self._known(sha)
        files = self.outside.files | self.outside.others.get(sha, {})
        shown = {path: text for path, text in files.items() if recursive or "/" not in path}
        return {path: text for path, text in shown.items() if wanted(path)}

    def _place(self, sha: str) -> int:
        return self.outside.commits.index(self._known(sha))

    def _known(self, sha: str) -> Commit:
        for one in self.outside.commits:
            if one.sha == sha:
                return one
        raise self._unknown(sha)

    def _unknown(self, name: str) -> NotFound:
        return NotFound(f"The repository has no revision “{name}”.", system="Git", hint="Was it pushed?")


class FakeSecrets:
    """adapters.aws.secrets_manager.SecretsManager."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def get(self, secret_id: str, version_id: str = "") -> SecretText:
        self.outside.check("secrets")
        current = self.outside.versions.get(secret_id, VERSION)
        text = self.outside.past.get((secret_id, version_id))
        if version_id in ("", current):
            text = self.outside.secrets.get(secret_id)
        if text is None:
            raise NotFound(f"There is no secret {secret_id}.", system="Secrets Manager")
        return SecretText(version_id or current, text, datetime(2026, 11, 1, tzinfo=UTC))

    def current_version(self, secret_id: str) -> str:
        self.outside.check("secrets")
        if secret_id not in self.outside.secrets:
            raise NotFound(f"There is no secret {secret_id}.", system="Secrets Manager")
        return self.outside.versions.get(secret_id, VERSION)


class FakeEcr:
    """adapters.aws.ecr.Ecr, of repositories that all have the same tags."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def digests(self, repository: str, tags: Sequence[str]) -> dict[str, ImageFacts]:
        self.outside.asked.append(tuple(tags))
        self.outside.check("ecr")
        facts = ImageFacts("sha256:" + "1" * 64, datetime(2026, 11, 1, tzinfo=UTC), 1, "ACTIVE")
        return {tag: facts for tag in tags if tag in self.outside.tags}


class FakeCluster:
    """adapters.kubernetes.client.KubernetesClient of a server on which nothing exists but `outside.objects`, which
    serves no kinds of its own and accepts what it is shown."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Any] | None = None,
        content_type: str = ACCEPT_JSON,
        accept: str = ACCEPT_JSON,
        timeout: float | None = None,
    ) -> Answer:
        self.outside.check("cluster")
        if method == "PATCH":
            if self.outside.refuses:
                raise self.outside.refuses
            assert isinstance(body, dict)
            return Answer(200 if path in self.outside.objects else 201, body)
        if path in self.outside.objects:
            return Answer(200, self.outside.objects[path])
        raise ApiError("not found", status=404, reason="NotFound")

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | list[Any] | None = None,
        content_type: str = ACCEPT_JSON,
        accept: str = ACCEPT_JSON,
        timeout: float | None = None,
    ) -> Json:
        return self.send(method, path, query=query, body=body, content_type=content_type, accept=accept).body

    def discover(self, group: str, version: str) -> list[Resource]:
        self.outside.check("cluster")
        return []

    def close(self) -> None:
        """Nothing is open."""
