"""Reads a kubeconfig given as text, refuses entries that would run programs or read files on our machines, and builds its
TLS context in memory.

Only the entries of the current context count. Refused, each with its reason: `exec` and `auth-provider`
(commands that would run here), file paths (they name files of another machine), `insecure-skip-tls-verify`,
`proxy-url`, passwords and impersonation.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

from adapters.kubernetes.errors import KubernetesInvalid

MAX_BYTES = 1_000_000
_TOKEN_HINT = "Use a kubeconfig with a ServiceAccount token or with client certificate data."  # noqa: S105
_REFUSED_USER = {
    "exec": (
        "it runs a command (exec) to get credentials, which would run on the portal's machine",
        _TOKEN_HINT,
    ),
    "auth-provider": (
        "it uses an auth-provider, which would run a command on the portal's machine",
        _TOKEN_HINT,
    ),
    "client-certificate": (
        "its client-certificate is a file path",
        "Put the content in as client-certificate-data.",
    ),
    "client-key": ("its client-key is a file path", "Put the content in as client-key-data."),
    "tokenFile": ("its tokenFile is a file path", "Put the content in as token."),
    "username": ("it signs in with a password, which Kubernetes no longer accepts", _TOKEN_HINT),
    "password": ("it signs in with a password, which Kubernetes no longer accepts", _TOKEN_HINT),
    "as": ("it impersonates another user (as)", "Use credentials of the account itself."),
    "as-groups": ("it impersonates a group (as-groups)", "Use credentials of the account itself."),
    "as-uid": ("it impersonates another user (as-uid)", "Use credentials of the account itself."),
}
_REFUSED_CLUSTER = {
    "insecure-skip-tls-verify": (
        "it turns off the check of the server's certificate (insecure-skip-tls-verify)",
        "Remove it and give certificate-authority-data.",
    ),
    "certificate-authority": (
        "its certificate-authority is a file path",
        "Put the content in as certificate-authority-data (kubectl config view --flatten --minify).",
    ),
    "proxy-url": (
        "it names a proxy (proxy-url)",
        "Remove proxy-url: the portal connects to the server itself.",
    ),
}


@dataclass(frozen=True)
class KubeconfigFacts:
    """The public parts of a kubeconfig: the server's URL, the name of the user entry and the context's namespace."""

    server: str
    user: str
    namespace: str


@dataclass(frozen=True)
class Connection:
    """Everything needed to connect. `repr` leaves out the credentials."""

    facts: KubeconfigFacts
    server_name: str  # to check the certificate against, when it is not the host
    authority: str = field(repr=False)  # PEM; empty: the system's authorities
    token: str = field(repr=False)
    certificate: bytes = field(repr=False)  # PEM
    key: bytes = field(repr=False)  # PEM


def check_kubeconfig(text: str) -> KubeconfigFacts:
    """Checks a kubeconfig and returns its facts. Raises KubernetesInvalid (an ExternalError) with the reason when it is not
    acceptable."""
    connection = read_kubeconfig(text)
    if urlsplit(connection.facts.server).scheme == "https":
        tls_context(connection)
    return connection.facts


def read_kubeconfig(text: str) -> Connection:
    """The connection that the current context describes. Raises KubernetesInvalid with the reason."""
    config = _parse(text)
    context = _current(config)
    cluster = _entry(config, "clusters", "cluster", context.get("cluster"))
    user = _entry(config, "users", "user", context.get("user"))
    _refuse(cluster, _REFUSED_CLUSTER)
    _refuse(user, _REFUSED_USER)
    connection = Connection(
        facts=KubeconfigFacts(
            _server(cluster), str(context.get("user") or ""), str(context.get("namespace") or "")
        ),
        server_name=str(cluster.get("tls-server-name") or ""),
        authority=_decoded(cluster, "certificate-authority-data").decode("ascii", "replace"),
        token=str(user.get("token") or "").strip(),
        certificate=_decoded(user, "client-certificate-data"),
        key=_decoded(user, "client-key-data"),
    )
    _check_credentials(connection)
    return connection


def tls_context(connection: Connection) -> ssl.SSLContext:
    """A TLS context that trusts only the kubeconfig's authority. It needs no temporary file: the certificate passes through
    memory (`memfd_create`), which is freed before this returns. Raises KubernetesInvalid."""
    try:
        context = ssl.create_default_context(cadata=connection.authority or None)
        if connection.certificate:
            _load_certificate(context, connection.key + b"\n" + connection.certificate)
    except (ssl.SSLError, ValueError) as error:
        raise _invalid("its certificate data cannot be read", "Export it again from the cluster.") from error
    return context


def _load_certificate(context: ssl.SSLContext, pem: bytes) -> None:
    handle = os.memfd_create("kubernetes-client", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(pem)
        # An empty password: OpenSSL would otherwise ask on the terminal for that of an encrypted key.
        context.load_cert_chain(f"/proc/self/fd/{handle}", password="")
    finally:
        os.close(handle)


def _invalid(reason: str, hint: str = "") -> KubernetesInvalid:
    return KubernetesInvalid(f"The kubeconfig is not accepted: {reason}.", hint=hint)


def _parse(text: str) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise _invalid("it is larger than 1 MB")
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        # Not chained: the text of a YAML error quotes the line, and with it a token.
        raise _invalid("it is not valid YAML") from None
    if not isinstance(config, dict) or config.get("kind", "Config") != "Config":
        raise _invalid("it is no kubeconfig", "Paste the whole file, from apiVersion to the end.")
    return config


def _current(config: dict[str, Any]) -> dict[str, Any]:
    name = config.get("current-context")
    contexts = config.get("contexts")
    if not name and isinstance(contexts, list) and len(contexts) == 1 and isinstance(contexts[0], dict):
        name = contexts[0].get("name")
    if not name:
        raise _invalid("it names no current-context", "Run kubectl config use-context and export it again.")
    return _entry(config, "contexts", "context", name)


def _entry(config: dict[str, Any], section: str, key: str, name: Any) -> dict[str, Any]:
    entries = config.get(section)
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(key), dict):
            return entry[key]
    raise _invalid(f"{section} has no entry “{name}”")


def _refuse(entry: dict[str, Any], reasons: dict[str, tuple[str, str]]) -> None:
    for key, (reason, hint) in reasons.items():
        if entry.get(key):
            raise _invalid(reason, hint)


def _server(cluster: dict[str, Any]) -> str:
    server = str(cluster.get("server") or "").strip().rstrip("/")
    try:
        parts = urlsplit(server)
        local = (parts.hostname or "") in ("127.0.0.1", "::1", "localhost")
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0) and not parts.username
    except ValueError:
        usable = local = False
    if not usable or parts.query or parts.fragment:
        raise _invalid("its server is no URL such as https://cluster.example:6443")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise _invalid("its server is not reached by https", "Plain http is accepted on this machine only.")
    return server


def _decoded(entry: dict[str, Any], key: str) -> bytes:
    try:
        return base64.b64decode("".join(str(entry.get(key) or "").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(f"its {key} is not base64") from error


def _check_credentials(connection: Connection) -> None:
    if bool(connection.certificate) != bool(connection.key):
        raise _invalid("its client certificate and key do not come together")
    if not connection.token and not connection.certificate:
        raise _invalid("it holds no credentials", _TOKEN_HINT)
    if any(ord(letter) <= 32 or ord(letter) > 126 for letter in connection.token):
        raise _invalid("its token holds characters that no token has")
