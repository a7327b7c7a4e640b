"""Kubernetes: one connection to one cluster, raw JSON, as `engine.cluster.client.Client` asks for it.

Every error is a KubernetesError, which is both an `adapters.errors.ExternalError` and an
`engine.cluster.client.ApiError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adapters.kubernetes.config import KubeconfigFacts, check_kubeconfig, read_kubeconfig
from adapters.kubernetes.errors import KubernetesError, KubernetesNotFound, KubernetesUnavailable
from adapters.kubernetes.limits import READ_TIMEOUT, RetryPolicy
from adapters.kubernetes.stream import HttpStream
from engine.cluster.client import ACCEPT_JSON, Answer, Resource, path_of, root_of
from engine.types import Json

if TYPE_CHECKING:
    from adapters.kubernetes.http import Transport

__all__ = [
    "ClusterFacts",
    "KubeconfigFacts",
    "KubernetesClient",
    "KubernetesError",
    "Right",
    "check_kubeconfig",
]

PROBE_TIMEOUT = 5.0


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster's own facts. `version`: such as `v1.32.1`."""

    version: str
    platform: str


@dataclass(frozen=True)
class Right:
    """A right of the account. An empty namespace means all namespaces."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" in {self.namespace}" if self.namespace else "")


class KubernetesClient:
    """A client of a cluster's API. Threads may share it; after a fork the child opens its own connections."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def from_kubeconfig(
        cls, text: str, *, user_agent: str, retry: RetryPolicy | None = None, timeout: float = READ_TIMEOUT
    ) -> KubernetesClient:
        """Makes a client from a kubeconfig's text, without sending a request. Raises KubernetesInvalid as
        `check_kubeconfig` does.

        `user_agent`: `slipway/<version> …`, which the cluster's audit log keeps. `timeout`: seconds for an answer.
        """
        from adapters.kubernetes.http import Transport  # loads the official client: see there

        connection = read_kubeconfig(text)
        return cls(
            Transport(connection, user_agent=user_agent, retry=retry or RetryPolicy(), timeout=timeout)
        )

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._transport.server

    def __enter__(self) -> KubernetesClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

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
        """Sends one request and returns its answer. `timeout`: seconds to wait for the answer (30 by default). Raises
        KubernetesError."""
        status, data, warnings = self._transport.send(
            method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
        )
        try:
            parsed = json.loads(data) if data else {}
        except ValueError as error:
            raise KubernetesUnavailable(
                f"The cluster at {self.server} answered {status} without JSON."
            ) from error
        if not isinstance(parsed, dict):
            raise KubernetesUnavailable(
                f"The cluster at {self.server} answered {status} without a JSON object."
            )
        return Answer(status, parsed, warnings)

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
        """Like `send`, but returns only the body."""
        return self.send(
            method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
        ).body

    def watch(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = ACCEPT_JSON
    ) -> HttpStream:
        """Yields the events of a list from `resourceVersion` on, until the server ends the watch. Raises
        KubernetesTimedOut after 30 s of silence."""
        return self._transport.stream(
            path, query={**(query or {}), "watch": "true"}, accept=accept, events=True
        )

    def text(self, path: str, *, query: Mapping[str, str] | None = None) -> str:
        """A text, such as a log."""
        received = self._transport.send(
            "GET", path, query=query, body=None, content_type="", accept="*/*", timeout=None
        )
        return received.data.decode("utf-8", "replace")

    def lines(self, path: str, *, query: Mapping[str, str] | None = None) -> HttpStream:
        """Yields the lines of a text as they arrive."""
        return self._transport.stream(path, query=query, accept="*/*", events=False)

    def discover(self, group: str, version: str) -> list[Resource]:
        """The kinds of a group and version, without subresources; empty when it is not served."""
        try:
            body = self.request("GET", path_of(root_of(group, version)))
        except KubernetesNotFound:
            return []
        return [
            Resource(
                group, version, r["kind"], r["name"], bool(r.get("namespaced")), tuple(r.get("verbs") or ())
            )
            for r in body.get("resources") or []
            if "/" not in r["name"]
        ]

    def probe(self) -> ClusterFacts:
        """Tries the credentials, with 5 s for each try, and returns facts of the cluster. Raises KubernetesError."""
        self.request("GET", "/api", timeout=PROBE_TIMEOUT)  # /version may be open to everybody, /api is not
        return ClusterFacts(*self._transport.version(PROBE_TIMEOUT))

    def can(self, rights: Iterable[Right]) -> list[Right]:
        """The rights that the account lacks, of those given. Raises KubernetesError when the cluster does not answer."""
        asked: Sequence[Right] = tuple(rights)
        with ThreadPoolExecutor(max_workers=8) as pool:
            return [right for right, ok in zip(asked, pool.map(self._allowed, asked), strict=True) if not ok]

    def _allowed(self, right: Right) -> bool:
        return self._transport.allowed(
            right.verb, right.group, right.resource, right.namespace, timeout=PROBE_TIMEOUT
        )
