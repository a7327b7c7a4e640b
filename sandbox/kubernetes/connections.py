"""Uvicorn's HTTP protocol, with a hand on each connection: some faults close them without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TRANSPORT = "sandbox.transport"
_open: dict[asyncio.BaseTransport, None] = {}


class Protocol(HttpToolsProtocol):
    """Tells the application the transport of a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        _open[transport] = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        _open.pop(self.transport, None)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_TRANSPORT: {"transport": self.transport}}


async def hang_up(scope: MutableMapping[str, Any]) -> None:
    """Closes the connection of a request without an answer."""
    transport = scope.get("extensions", {}).get(_TRANSPORT, {}).get("transport")
    if isinstance(transport, asyncio.Transport):
        transport.abort()
    elif transport is not None:
        transport.close()
    await asyncio.sleep(0.1)  # until the protocol has noticed


def hang_up_all() -> None:
    """Closes every connection there is."""
    for transport in list(_open):
        transport.close()
