"""Puts one simulated control plane together, in a directory that keeps its state, and runs it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from sandbox.certificates import Pair, load_or_make, make_authority, make_certificate, write_private
from sandbox.control_plane import kubeconfig_text
from sandbox.kubernetes import READY_LINE
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.app import App
from sandbox.kubernetes.connections import Protocol, hang_up_all
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


class _Server(uvicorn.Server):
    """Leaves signals to us: watches must end before it waits for open answers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Credentials:
    """What the server needs to be trusted, and to know its administrator."""

    authority: bytes
    certificate: Path
    key: Path
    admin_token: str
    signing_key: bytes


def credentials(directory: Path) -> Credentials:
    """Those of the directory, made at first use; keys and tokens are for their owner's eyes only."""

    def pair(name: str, make: object) -> Pair:
        return load_or_make(directory / f"{name}.crt", directory / f"{name}.key", make)  # type: ignore[arg-type]

    authority = pair("ca", lambda: make_authority("slipway-sandbox"))
    pair("server", lambda: make_certificate(authority, common_name="kube-apiserver", names=_NAMES))
    secret = directory / "tokens.key"
    if not secret.exists():
        write_private(secret, f"{secrets.token_urlsafe(32)}\n{secrets.token_hex(32)}\n".encode())
    admin, signing = secret.read_text().split()
    return Credentials(
        authority.certificate, directory / "server.crt", directory / "server.key", admin, signing.encode()
    )


async def run(directory: Path, port: int) -> None:
    """Serves until SIGTERM or SIGINT. Prints `READY_LINE` once it answers."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _lock(directory)
    own = credentials(directory)
    store = Store()
    kinds = Kinds()
    operations = Operations(store, kinds)
    access = Access(store, admin_token=own.admin_token, signing_key=own.signing_key)
    journal = Journal(directory / "objects.jsonl", store)
    journal.open()
    watches = Watches(store)
    controllers = Controllers(operations, access, authority=own.authority)
    faults = Faults(
        expire_watches=lambda: _expire(store, watches),
        drop_node=controllers.drop_node,
        hang_up=lambda: _soon(hang_up_all),
    )
    routes = Routes(operations, watches, access, OpenApi(kinds))
    server = _server(App(routes, access, faults, journal.flush), own, port)
    controllers.start()
    kubeconfig = kubeconfig_text(f"https://127.0.0.1:{port}", own.authority, token=own.admin_token)
    write_private(directory / "kubeconfig", kubeconfig.encode())
    serving = asyncio.create_task(server.serve())
    _stop_on_signal(server, watches)
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        print(f"https://127.0.0.1:{port}: {READY_LINE}", flush=True)
    try:
        await serving
    finally:
        controllers.stop()
        journal.close()


def _lock(directory: Path) -> None:
    """Two servers on one directory would damage its file; the lock ends with this process. Raises OSError."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(f"another one already runs in {directory}") from error


def _server(app: App, own: Credentials, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        http=Protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_certfile=str(own.certificate),
        ssl_keyfile=str(own.key),
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
        backlog=512,
    )
    return _Server(config)


def _stop_on_signal(server: uvicorn.Server, watches: Watches) -> None:
    """Ends the watches first: the server waits for open answers."""

    def stop() -> None:
        watches.end_all()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def _expire(store: Store, watches: Watches) -> None:
    store.forget_history()
    watches.end_all(because_expired=True)


def _soon(work: object) -> None:
    """A moment later, so that the order itself is still answered."""
    asyncio.get_running_loop().call_later(0.1, work)  # type: ignore[arg-type]
