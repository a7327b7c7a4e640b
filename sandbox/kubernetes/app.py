"""The server as an ASGI application: reads a request, finds who asks, and sends what the routes answer."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from sandbox.kubernetes.access import Access, User
from sandbox.kubernetes.connections import hang_up
from sandbox.kubernetes.decoding import MOST_BYTES
from sandbox.kubernetes.discovery import page_not_found
from sandbox.kubernetes.faults import PATH, Down, Faults
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.requests import Answer, Request, json_answer, refusal_answer
from sandbox.kubernetes.routes import NoSuchGroup, Routes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class App:
    """One API server."""

    def __init__(self, routes: Routes, access: Access, faults: Faults, keep: Callable[[], None]) -> None:
        """`keep` writes to the disk what has changed: before anybody is told that it has."""
        self._routes = routes
        self._access = access
        self._faults = faults
        self._keep = keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except Down:
            await hang_up(scope)
            return
        await _deliver(answer, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            if scope["path"] != PATH:
                await self._faults.strike()
            user = self._access.user_of(headers.get("authorization", ""))
            request = await _read(scope, receive, headers, user)
            if scope["path"] == PATH:
                return self._order_fault(request)
            answer = await self._routes.answer(request)
            self._keep()
            return answer
        except Refused as refusal:
            return refusal_answer(refusal)
        except NoSuchGroup:
            return page_not_found()
        except Exception as error:
            if isinstance(error, Down):
                raise
            traceback.print_exc(file=sys.stderr)
            message = f"Internal error occurred: {type(error).__name__}"
            return refusal_answer(Refused(500, "InternalError", message))

    def _order_fault(self, request: Request) -> Answer:
        if not request.user.is_master:
            raise Refused(403, "Forbidden", "Only the administrator's token may order faults.")
        try:
            wanted = json.loads(request.body)
            fault, seconds = str(wanted["fault"]), wanted.get("seconds")
            amount = None if seconds is None else float(seconds)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Refused(400, "BadRequest", 'Say which: {"fault": "slow", "seconds": 5}') from None
        return json_answer({"message": self._faults.order(fault, amount)})


async def _read(scope: Scope, receive: Receive, headers: dict[str, str], user: User) -> Request:
    """The whole request. Raises Refused (413) when its body is too large."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Down
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > MOST_BYTES:
            parts = []
    if size > MOST_BYTES:
        words = f"Request entity too large: limit is {MOST_BYTES}"
        raise Refused(413, "RequestEntityTooLarge", words)
    path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0])
    query = scope["query_string"].decode("latin-1")
    return Request.of(scope["method"], path, query, headers, b"".join(parts), user)


async def _deliver(answer: Answer, receive: Receive, send: Send) -> None:
    headers = [(b"content-type", answer.content_type.encode())]
    headers += [
        (name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()
    ]
    if answer.stream is None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.stream is not None:
        await _pump(answer.stream, receive, send)
    await send({"type": "http.response.body", "body": answer.body})


async def _pump(stream: AsyncIterator[bytes], receive: Receive, send: Send) -> None:
    """Sends a stream as it comes, until it ends or the reader has left."""

    async def pass_on() -> None:
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        async for piece in stream:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    work, gone = asyncio.create_task(pass_on()), asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
