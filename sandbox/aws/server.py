"""One WSGI application for AWS's APIs (moto) and ECR's registry, and the server that serves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request

from sandbox.aws import ecr_fixes, orders, scans, secrets_fixes
from sandbox.aws.orders import Orders
from sandbox.aws.registry import Registry
from sandbox.aws.snapshot import Snapshot
from sandbox.aws.tokens import LIFETIME, Tokens, load_key

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

_READS = ("Get", "Describe", "List", "BatchGet", "BatchCheck")  # actions that change nothing


class _QuietHandler(MotoRequestHandler):
    """moto's handler without a line per request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


def make_application(directory: Path, endpoint: str, *, token_lifetime: float = LIFETIME) -> WsgiApp:
    """The whole application, with its state loaded from `directory`. It patches moto for the whole process: call it once per
    process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tokens = Tokens(load_key(directory / "token.key"), token_lifetime)
    snapshot = Snapshot(directory / "state.json")
    secrets_fixes.install()
    ecr_fixes.install(tokens, endpoint)
    snapshot.load()
    scans.install(directory / "blobs")
    registry = Registry(tokens, directory / "blobs", snapshot)
    ordered = Orders(tokens, directory)
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == orders.PATH:
            return ordered.answer(Request(environ))(environ, start_response)
        if environ["PATH_INFO"].startswith("/v2/"):
            ordered.hold(orders.REGISTRY_SILENT)
            return registry.answer(Request(environ))(environ, start_response)
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        if refusal := ordered.strike(target):
            Request(environ).get_data()  # read to its end: the client is still sending
            return refusal(environ, start_response)
        action = target.rpartition(".")[2]
        if not action or action.startswith(_READS):
            return moto(environ, start_response)
        with snapshot.change():
            return list(moto(environ, start_response))

    return application


def make_aws_server(directory: Path, port: int, *, token_lifetime: float = LIFETIME) -> BaseWSGIServer:
    """A threaded server that already listens on 127.0.0.1; the caller runs `serve_forever`. Raises OSError when the port
    is taken.
    """
    application = make_application(directory, f"http://127.0.0.1:{port}", token_lifetime=token_lifetime)
    return make_server("127.0.0.1", port, application, threaded=True, request_handler=_QuietHandler)
