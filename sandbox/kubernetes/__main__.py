"""`python -m sandbox.kubernetes --directory D --port P`: the simulated control plane until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import hashlib
import os
import signal
import ssl
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sandbox.cluster.certificates import write_private
from sandbox.cluster.kubeconfig import kubeconfig_text, make_credentials
from sandbox.kubernetes import READY_LINE
from sandbox.kubernetes.access import Access
from sandbox.kubernetes.bodies import MOST_BYTES
from sandbox.kubernetes.controllers import Controllers
from sandbox.kubernetes.faults import PATH, Faults
from sandbox.kubernetes.journal import Journal
from sandbox.kubernetes.kinds import Kinds
from sandbox.kubernetes.openapi import OpenApi
from sandbox.kubernetes.operations import Operations
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.requests import Answer, Request, json_answer
from sandbox.kubernetes.routes import Routes
from sandbox.kubernetes.store import Store
from sandbox.kubernetes.watching import Watches

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


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
    pairs = make_credentials(directory)
    authority, signing_key = pairs["ca"].certificate, pairs["tokens"].key
    admin = hashlib.sha256(b"the administrator's token of " + signing_key).hexdigest()
    kubeconfig = kubeconfig_text(f"https://127.0.0.1:{port}", authority, token=admin)
    write_private(directory / "kubeconfig", kubeconfig.encode())
    store, kinds, connections = Store(), Kinds(), ServerState()
    operations = Operations(store, kinds)
    access = Access(store, admin_token=admin, signing_key=signing_key)
    journal = Journal(directory / "objects.jsonl", store)
    journal.open()
    watches = Watches(store)
    controllers = Controllers(operations, access, authority=authority)
    faults = Faults(store, watches, connections, controllers.drop_node)
    routes = Routes(operations, watches, access, OpenApi(kinds), faults)
    controllers.start()
    try:
        await _serve(App(routes, journal.flush), directory, port, connections)
    finally:
        controllers.stop()
        journal.close()


async def _serve(app: App, directory: Path, port: int, connections: ServerState) -> None:
    """Until a signal comes; answers under way are given a second. Raises OSError when the port is taken."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(directory / "server.crt", directory / "server.key")
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=75)
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
    app.routes.watches.end_all()
    if connections.tasks:
        await asyncio.wait(connections.tasks, timeout=1)
    app.routes.faults.hang_up()


# --- one request ------------------------------------------------------------------------------------------------------


@dataclass
class App:
    """One API server. `keep` writes changes to the disk before any watch or answer reports them."""

    routes: Routes
    keep: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Refused as refusal:
            answer = json_answer(refusal.status(), refusal.code)
            if seconds := (refusal.details or {}).get("retryAfterSeconds"):
                answer.headers["Retry-After"] = str(seconds)
        except ConnectionError:
            return  # the client has left, or the connection is to be cut
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the client gets an answer
            traceback.print_exc()
            message = f"Internal error occurred: {type(error).__name__}"
            answer = json_answer(Refused(500, "InternalError", message).status(), 500)
        await _deliver(answer, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["path"] != PATH:
            await self.routes.faults.strike()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        user = self.routes.access.user_of(headers.get("authorization", ""))
        path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0])
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        query = dict(reversed(pairs))  # of a parameter that is given twice the first counts, as in Go
        request = Request(scope["method"], path, query, headers, await _body(receive), user)
        answer = await self.routes.answer(request)
        self.keep()
        return answer


async def _body(receive: Receive) -> bytes:
    """The whole body. Raises Refused (413) when it is too large, ConnectionError when the client has left."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        more = message.get("more_body", False)
        if len(body) <= MOST_BYTES:
            body += message.get("body", b"")
    if len(body) > MOST_BYTES:
        raise Refused(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST_BYTES}")
    return bytes(body)


async def _deliver(answer: Answer, receive: Receive, send: Send) -> None:
    headers = {"content-type": answer.content_type, **answer.headers}
    if answer.stream is None:
        headers["content-length"] = str(len(answer.body))
    encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    if answer.stream is not None:
        await _pump(answer.stream, receive, send)
    await send({"type": "http.response.body", "body": answer.body})


async def _pump(stream: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Sends a stream as it comes, until it ends or the reader has left."""

    async def pass_on() -> None:
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def until_gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue

    tasks = [asyncio.create_task(pass_on()), asyncio.create_task(until_gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# --- the directory ----------------------------------------------------------------------------------------------------


def _lock(directory: Path) -> None:
    """Two servers on one directory would damage its file; the lock ends with this process. Raises OSError."""
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise OSError(f"another one already runs in {directory}") from error


if __name__ == "__main__":
    main()
