"""Sets up the official client (package `kubernetes`) for one API server.

By itself it reads proxy variables of the environment and wants keys in files. Both are avoided: there is no proxy, and
connections come from our own pool manager, which has its TLS context in memory and repeats nothing.
"""

from __future__ import annotations

import logging
import ssl
from typing import Any

import urllib3
from kubernetes.client import (
    ApiClient,
    ApiException,
    AuthorizationV1Api,
    Configuration,
    V1ResourceAttributes,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
    VersionApi,
)
from kubernetes.utils.keepalive import tcp_keepalive_socket_options
from urllib3.connection import HTTPConnection, HTTPSConnection

from adapters.kubernetes.config import Connection
from adapters.kubernetes.errors import KubernetesError, not_understood, refused

POOL_SIZE = 32
_KEEP_ALIVE = tcp_keepalive_socket_options(idle=15, interval=5, count=3)
# Every request has one try, whatever comes back; a redirect is an answer, since to follow it would carry the token
# elsewhere. The repeats are ours (`limits.RetryPolicy`). Not `False`: the official client turns the TLS error that
# urllib3 then raises into one of its own, without the reason.
_ONE_TRY = urllib3.Retry(0, redirect=0, raise_on_redirect=False)

# Requests and answers hold secrets. Today these loggers print only addresses at DEBUG; another version may print more.
for _name in ("kubernetes", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class _Plain(HTTPConnection):
    """A connection without `http.client`'s debug output, which would print tokens and bodies."""

    debuglevel = 0

    def set_debuglevel(self, level: int) -> None:
        return


class _Secure(HTTPSConnection):
    """As `_Plain`, with TLS."""

    debuglevel = 0

    def set_debuglevel(self, level: int) -> None:
        return


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure


def api_client(connection: Connection, context: ssl.SSLContext | None, *, user_agent: str) -> ApiClient:
    """Makes a client of the server, without sending a request. `context`: None for plain HTTP."""
    configuration = Configuration(
        host=connection.facts.server,
        api_key={"authorization": f"Bearer {connection.token}"} if connection.token else {},
        connection_pool_maxsize=POOL_SIZE,
        # None would mean the proxy of the environment. The portal connects to the server directly.
        proxy="",
        no_proxy="",
    )
    api = ApiClient(configuration)
    api.user_agent = user_agent
    api.rest_client.pool_manager = pool_manager(context, connection.server_name)
    return api


def pool_manager(context: ssl.SSLContext | None, server_name: str) -> urllib3.PoolManager:
    """Makes the pool of connections to one server, none of them open. `server_name`: the name to check the certificate
    against, when it differs from the host."""
    secure: dict[str, Any] = {"ssl_context": context} if context else {}
    if context and server_name:
        secure.update(server_hostname=server_name, assert_hostname=server_name)
    manager = urllib3.PoolManager(maxsize=POOL_SIZE, retries=_ONE_TRY, socket_options=_KEEP_ALIVE, **secure)
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
    return manager


def version(api: ApiClient, timeout: tuple[float, float]) -> tuple[str, str]:
    """The server's version, such as `v1.32.1`, and its platform. Raises the official client's errors."""
    info = VersionApi(api).get_code(_request_timeout=timeout)
    return info.git_version, info.platform


def allowed(
    api: ApiClient, timeout: tuple[float, float], *, verb: str, group: str, resource: str, namespace: str
) -> bool:
    """Whether the account has this right (an empty namespace means all). Raises the official client's errors."""
    attributes = V1ResourceAttributes(verb=verb, group=group, resource=resource, namespace=namespace or None)
    review = V1SelfSubjectAccessReview(spec=V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    answer = AuthorizationV1Api(api).create_self_subject_access_review(review, _request_timeout=timeout)
    return bool(answer.status and answer.status.allowed)


def refusal(server: str, error: ApiException) -> KubernetesError:
    """Our error in place of the official client's, which quotes the whole answer."""
    if not error.status:  # the answer has an unexpected type
        return not_understood(server)
    return refused(server, error.status, error.headers or {}, (error.body or "").encode())
