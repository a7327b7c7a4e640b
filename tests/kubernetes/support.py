"""What the suite shares: a client that shows every answer as it is, and small manifests."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from sandbox.cluster.api import Api, Credentials

Json = dict[str, Any]
SSA = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
IMAGE = "registry.example/app"  # of no registry on this machine: it works at once


@dataclass(frozen=True)
class Reply:
    """An answer: status, JSON body ({} when it is none), text, headers."""

    status: int
    body: Json
    text: str
    headers: Mapping[str, str]

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def fields(self) -> list[str]:
        """The fields that the causes name."""
        return [c.get("field", "") for c in (self.body.get("details") or {}).get("causes") or []]


class Raw:
    """Sends anything, raises nothing."""

    def __init__(self, kubeconfig: str, *, token: str | None = None) -> None:
        self.credentials = Credentials.from_kubeconfig(kubeconfig)
        context = self.credentials.ssl_context() if token is None else _without_certificate(self.credentials)
        self._pool = urllib3.PoolManager(retries=False, ssl_context=context, maxsize=4)
        self._token = self.credentials.token if token is None else token

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        **query: Any,
    ) -> Reply:
        headers = {"Accept": accept, "User-Agent": "suite/1"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        if data is not None:
            headers["Content-Type"] = content_type
        url = self.credentials.server + path + (f"?{urlencode(query)}" if query else "")
        answer = self._pool.request(method, url, body=data, headers=headers, timeout=30)
        text = answer.data.decode(errors="replace")
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = {}
        return Reply(answer.status, parsed if isinstance(parsed, dict) else {}, text, answer.headers)

    def get(self, path: str, **query: Any) -> Reply:
        return self.send("GET", path, **query)

    def post(self, path: str, body: Any, **more: Any) -> Reply:
        return self.send("POST", path, body, **more)

    def apply(self, path: str, body: Any, manager: str = "suite", **query: Any) -> Reply:
        return self.send("PATCH", path, body, content_type=SSA, fieldManager=manager, **query)

    def merge(self, path: str, body: Any, **query: Any) -> Reply:
        return self.send("PATCH", path, body, content_type=MERGE, **query)


def _without_certificate(credentials: Credentials) -> Any:
    return Credentials(credentials.server, credentials.authority).ssl_context()


@dataclass
class Home:
    """A namespace of the test's own, and the paths in it."""

    raw: Raw
    api: Api
    kubeconfig: Path
    name: str

    def path(self, plural: str, name: str = "") -> str:
        group = _GROUPS.get(plural, "api/v1")
        return f"/{group}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def live(self, plural: str, name: str) -> Json:
        return self.api.get(self.path(plural, name))

    def create(self, plural: str, body: Json) -> Json:
        reply = self.raw.post(self.path(plural), body)
        assert reply.status == 201, reply.text
        return reply.body

    def settled(self, name: str = "web") -> Json:
        """The Deployment once its controller has seen its newest version."""

        def seen() -> Json | None:
            found = self.live("deployments", name)
            return (
                found
                if found["status"].get("observedGeneration") == found["metadata"]["generation"]
                else None
            )

        return until(seen, what="the controller's look")

    def rolled_out(self, name: str = "web", seconds: float = 30.0) -> Json:
        """The Deployment once all its pods are new and available."""

        def done() -> Json | None:
            found = self.live("deployments", name)
            status, wanted = found["status"], found["spec"]["replicas"]
            numbers = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
            seen = status.get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and numbers == [wanted] * 3 else None

        return until(done, seconds=seconds, what=f"rollout of {name}")

    def owned(self, plural: str, uid: str) -> list[Json]:
        items = self.api.get(self.path(plural))["items"]
        return [i for i in items if any(r["uid"] == uid for r in i["metadata"].get("ownerReferences") or [])]


_GROUPS = {
    **dict.fromkeys(
        ["deployments", "replicasets", "statefulsets", "daemonsets", "controllerrevisions"], "apis/apps/v1"
    ),
    **dict.fromkeys(["jobs", "cronjobs"], "apis/batch/v1"),
    "ingresses": "apis/networking.k8s.io/v1",
    **dict.fromkeys(["roles", "rolebindings"], "apis/rbac.authorization.k8s.io/v1"),
    "widgets": "apis/suite.example/v1",
}


def until(question: Callable[[], Any], *, seconds: float = 60.0, what: str = "it") -> Any:
    """The first true answer. Fails with the last one when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:.0f} s: {answer!r}"
        time.sleep(0.05)
    return answer


def some_name() -> str:
    return f"suite-{uuid.uuid4().hex[:8]}"


def pod_template(name: str = "web", tag: str = "1", **container: Any) -> Json:
    main = {"name": "main", "image": f"{IMAGE}:{tag}", **container}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [main]}}


def deployment(name: str = "web", tag: str = "1", *, replicas: int | None = 0, **spec: Any) -> Json:
    """Without replicas nothing but the controller changes it: `replicas=0` keeps tests quiet."""
    body: Json = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod_template(name, tag), **spec},
    }
    if replicas is not None:
        body["spec"]["replicas"] = replicas
    return body


def config_map(name: str = "settings", labels: Json | None = None, **data: str) -> Json:
    metadata: Json = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **({"data": data} if data else {})}


def container_of(body: Json) -> Json:
    """The first container of a workload."""
    found: Json = body["spec"]["template"]["spec"]["containers"][0]
    return found


def managers(body: Json) -> dict[tuple[str, str, str], Json]:
    """`managedFields` by manager, operation and subresource."""
    return {
        (e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"]
        for e in body["metadata"].get("managedFields") or []
    }
