"""What a few well-known Jobs leave in the cluster, for install files that rely on it.

A played container runs nothing. Most programs are not missed; ingress-nginx's install file, though, has a Job that
makes the Secret which its controller mounts (kube-webhook-certgen), so that Secret is made here.
"""

from __future__ import annotations

import base64

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed
from sandbox.cluster.certificates import make_authority, make_certificate
from sandbox.node.pods import Container, Pod


def leave_traces(api: Api, pod: Pod, container: Container) -> None:
    """Called when a container has ended well. Raises ApiFailed when the API server does not answer."""
    words = [*(container.spec.get("command") or []), *(container.spec.get("args") or [])]
    if "kube-webhook-certgen" in container.image and "create" in words:
        _webhook_certificate(api, _options(words, pod.namespace))


def _webhook_certificate(api: Api, options: dict[str, str]) -> None:
    """The Secret with `ca`, `cert` and `key`, unless it is there."""
    namespace, name = options.get("namespace", "default"), options.get("secret-name", "")
    hosts = [h for h in options.get("host", "").split(",") if h]
    if not name or not hosts:
        return
    authority = make_authority("nil1")
    pair = make_certificate(authority, common_name="nil2", names=hosts)
    parts = {"ca": authority.certificate, "cert": pair.certificate, "key": pair.key}
    secret: Json = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace},
        "data": {key: base64.b64encode(value).decode() for key, value in parts.items()},
    }
    try:
        api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
    except ApiFailed as error:
        if error.status != 409:
            raise


def _options(words: list[str], namespace: str) -> dict[str, str]:
    """`--key=value` words, with the one variable that the install file uses filled in."""
    pairs = (w.removeprefix("--").split("=", 1) for w in words if w.startswith("--") and "=" in w)
    return {key: value.replace("$(POD_NAMESPACE)", namespace) for key, value in pairs}
