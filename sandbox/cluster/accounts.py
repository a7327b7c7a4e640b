"""Makes kubeconfigs with a ServiceAccount token, for registering a cluster in the portal, with all rights or with few.

Works on any API server with an administrator's kubeconfig.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path

from engine.types import Json
from sandbox.cluster.api import Api, ApiFailed, Credentials
from sandbox.cluster.kubeconfig import kubeconfig_text

_MANAGER = "slipway-sandbox"
_TOKEN_SECONDS = 10.0  # time limit for the controller manager to fill a token Secret

Rules = Sequence[Json]
EVERYTHING: Rules = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)
READING: Rules = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},)


def account_kubeconfig(
    kubeconfig: Path,
    name: str,
    *,
    namespace: str = "kube-system",
    rules: Rules = EVERYTHING,
    only_in: str = "",
    expires_after: int = 0,
) -> str:
    """Makes the ServiceAccount `namespace/name` with these rights and returns a kubeconfig with its token.

    `rules`: RBAC rules, for the whole cluster or, with `only_in`, for that namespace. `expires_after`: seconds until the
    token expires; 0: it lives as long as the account (a Secret holds it, so a later call returns the same token). An
    existing account gets the new rules. Raises ApiFailed, OSError, ValueError (unusable kubeconfig).
    """
    credentials = Credentials.from_kubeconfig(kubeconfig.read_text())
    api = Api(credentials, user_agent="slipway-sandbox")
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
    api.apply(path, account, manager=_MANAGER)
    _grant(api, name, namespace, rules, only_in)
    token = (
        _request_token(api, path, expires_after) if expires_after else _lasting_token(api, name, namespace)
    )
    return kubeconfig_text(credentials.server, credentials.authority.encode(), token=token)


def _grant(api: Api, name: str, namespace: str, rules: Rules, only_in: str) -> None:
    """Makes a role with the account's name and binds it to the account."""
    kind = "Role" if only_in else "ClusterRole"
    full = f"{namespace}-{name}"
    base = "/apis/rbac.authorization.k8s.io/v1" + (f"/namespaces/{only_in}" if only_in else "")
    meta = {"name": full, **({"namespace": only_in} if only_in else {})}
    version = "rbac.authorization.k8s.io/v1"
    role = {"apiVersion": version, "kind": kind, "metadata": meta, "rules": list(rules)}
    binding = {
        "apiVersion": version,
        "kind": f"{kind}Binding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": full},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    plural = kind.lower()
    api.apply(f"{base}/{plural}s/{full}", role, manager=_MANAGER)
    api.apply(f"{base}/{plural}bindings/{full}", binding, manager=_MANAGER)


def _request_token(api: Api, account_path: str, seconds: int) -> str:
    """A token that expires (TokenRequest; the API server's minimum is ten minutes)."""
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    return str(api.create(f"{account_path}/token", body)["status"]["token"])


def _lasting_token(api: Api, name: str, namespace: str) -> str:
    """A token that does not expire. The controller manager writes it into a Secret."""
    secret = f"{name}-token"
    path = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": secret,
            "namespace": namespace,
            "annotations": {"kubernetes.io/service-account.name": name},
        },
    }
    api.apply(path, body, manager=_MANAGER)
    deadline = time.monotonic() + _TOKEN_SECONDS
    while time.monotonic() < deadline:
        token = (api.get(path).get("data") or {}).get("token")
        if token:
            return base64.b64decode(token).decode()
        time.sleep(0.05)
    raise ApiFailed(
        f"No token was written into the secret {namespace}/{secret} within {_TOKEN_SECONDS:.0f} s"
    )
