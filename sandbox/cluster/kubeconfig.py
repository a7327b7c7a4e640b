"""The keys of a control plane, and kubeconfigs for its users."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path

import yaml

from engine.types import Json
from sandbox.cluster.certificates import (
    Pair,
    load_or_make,
    make_authority,
    make_certificate,
    make_signing_key,
)

CLIENTS = {
    "admin": ("admin", "system:masters"),
    "manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
}
_SERVER_NAMES = (
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "10.96.0.1",
)


def make_credentials(directory: Path) -> dict[str, Pair]:
    """The authority, server, client and token signing keys of a control plane: those in `directory`, or new ones."""

    def pair(name: str, make: partial[Pair]) -> Pair:
        return load_or_make(directory / f"{name}.crt", directory / f"{name}.key", make)

    authority = pair("ca", partial(make_authority, "slipway-sandbox"))
    pairs = {"ca": authority, "tokens": pair("tokens", partial(make_signing_key))}
    pairs["server"] = pair(
        "server", partial(make_certificate, authority, common_name="kube-apiserver", names=_SERVER_NAMES)
    )
    for name, (common_name, organization) in CLIENTS.items():
        make = partial(make_certificate, authority, common_name=common_name, organization=organization)
        pairs[name] = pair(name, make)
    return pairs


def kubeconfig_text(server: str, authority: bytes, *, pair: Pair | None = None, token: str = "") -> str:
    """A kubeconfig for one server and one user, by client certificate or by token."""
    user: Json = {"token": token}
    if pair:
        user = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
    cluster = {"server": server, "certificate-authority-data": _base64(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "sandbox", "user": user}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox"}}],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
