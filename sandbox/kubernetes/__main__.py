"""`python -m sandbox.kubernetes --directory D --port P`: the simulated control plane until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import secrets
import signal
import ssl
import sys
from functools import partial
from pathlib import Path

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sandbox.certificates import load_or_make, make_authority, make_certificate, write_private
from sandbox.control_plane import kubeconfig_text
from sandbox.kubernetes import READY_LINE
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.app import App
from sandbox.kubernetes.controllers import Controllers
from sandbox.kubernetes.faults import Faults
from sandbox.kubernetes.journal import Journal
from sandbox.kubernetes.kinds import Kinds
from sandbox.kubernetes.openapi import OpenApi
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.routes import Routes
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.watching import Watches

_NAMES = ("127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


def main() -> None:
    """Serves; ends with a message when the port or the directory is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.kubernetes", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="keeps state and credentials")
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    options = parser.parse_args()
    try:
        uvloop.run(run(options.directory.resolve(), options.port))
    except OSError as error:
        sys.exit(f"The simulated control plane cannot serve: {error}")


async def run(directory: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT. Prints `READY_LINE` once it answers. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _lock(directory)
    authority, admin, signing_key = _credentials(directory)
    kubeconfig = kubeconfig_text(f"https://127.0.0.1:{port}", authority, token=admin)
    write_private(directory / "kubeconfig", kubeconfig.encode())
    store, kinds, connections = Store(), Kinds(), ServerState()
    operations = Operations(store, kinds)
    access = Access(store, admin_token=admin, signing_key=signing_key)
    journal = Journal(directory / "objects.jsonl", store)
    journal.open()
    watches = Watches(store)
    controllers = Controllers(operations, access, authority=authority)
    faults = Faults(store, watches, controllers.drop_node, partial(_hang_up, connections))
    app = App(Routes(operations, watches, access, OpenApi(kinds)), access, faults, journal.flush)
    controllers.start()
    try:
        await _serve(app, directory, port, connections, watches)
    finally:
        controllers.stop()
        journal.close()


async def _serve(app: App, directory: Path, port: int, connections: ServerState, watches: Watches) -> None:
    """Until a signal comes; answers under way are given a second. Raises OSError when the port is taken."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(directory / "server.crt", directory / "server.key")
    config = uvicorn.Config(
        app, ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False
    )
    config.timeout_keep_alive = 75
    config.load()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await loop.create_server(
        lambda: HttpToolsProtocol(config, connections, {}), "127.0.0.1", port, ssl=tls, backlog=512
    )
    print(f"https://127.0.0.1:{port}: {READY_LINE}", flush=True)
    await ended.wait()
    server.close()
    watches.end_all()
    if connections.tasks:
        await asyncio.wait(connections.tasks, timeout=1)
    _hang_up(connections)


def _lock(directory: Path) -> None:
    """Two servers on one directory would damage its file; the lock ends with this process. Raises OSError."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(f"another one already runs in {directory}") from error


def _credentials(directory: Path) -> tuple[bytes, str, bytes]:
    """The authority's certificate, the administrator's token and the key of other tokens; all made at first use."""
    authority = load_or_make(
        directory / "ca.crt", directory / "ca.key", lambda: make_authority("slipway-sandbox")
    )
    make = partial(make_certificate, authority, common_name="kube-apiserver", names=_NAMES)
    load_or_make(directory / "server.crt", directory / "server.key", make)
    secret = directory / "tokens.key"
    if not secret.exists():
        write_private(secret, f"{secrets.token_urlsafe(32)}\n{secrets.token_hex(32)}\n".encode())
    admin, signing_key = secret.read_text().split()
    return authority.certificate, admin, signing_key.encode()


def _hang_up(connections: ServerState) -> None:
    """Closes every connection there is."""
    for connection in list(connections.connections):
        connection.transport.close()


if __name__ == "__main__":
    main()
