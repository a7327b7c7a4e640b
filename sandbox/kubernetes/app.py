"""The server as an ASGI application: reads a request, finds who asks, and sends what the routes answer."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from sandbox.kubernetes.access import Access
from sandbox.kubernetes.decoding import MOST_BYTES, parse
from sandbox.kubernetes.faults import PATH, Down, Faults
from sandbox.kubernetes.refusals import Refused
from sandbox.kubernetes.requests import Answer, Request, json_answer
from sandbox.kubernetes.routes import Routes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass
class App:
    """One API server. `keep` writes to the disk what has changed: before anybody is told that it has."""

    routes: Routes
    access: Access
    faults: Faults
    keep: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Refused as refusal:
            answer = _refused(refusal)
        except Down:
            self.faults.hang_up()
            await asyncio.sleep(0.1)  # until the protocol has noticed
            return
        except ConnectionError:
            return  # the client has left
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the client gets an answer
            traceback.print_exc()
            words = f"Internal error occurred: {type(error).__name__}"
            answer = _refused(Refused(500, "InternalError", words))
        await _deliver(answer, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        if scope["path"] != PATH:
            await self.faults.strike()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(
            method=scope["method"],
            path=unquote(scope["raw_path"].decode("latin-1").partition("?")[0]),
            # of a parameter that is given twice the first counts, as in Go
            query=dict(reversed(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))),
            headers=headers,
            user=self.access.user_of(headers.get("authorization", "")),
            body=await _body(receive),
        )
        if scope["path"] == PATH:
            return self._order_fault(request)
        answer = await self.routes.answer(request)
        self.keep()
        return answer

    def _order_fault(self, request: Request) -> Answer:
        if not request.user.is_master:
            raise Refused(403, "Forbidden", "Only the administrator's token may order faults.")
        wanted, _ = parse(request)
        return json_answer({"message": self.faults.order(str(wanted.get("fault")), wanted.get("seconds"))})


def _refused(refusal: Refused) -> Answer:
    answer = json_answer(refusal.status(), refusal.code)
    answer.headers = {"Retry-After": "1"} if refusal.code == 429 else {}
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
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
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
