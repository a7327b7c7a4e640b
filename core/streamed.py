"""Answers that are sent while they are produced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import StreamingHttpResponse


class StreamedText(StreamingHttpResponse):
    """Sends the texts of an iterator one by one. Under ASGI a thread produces each part when it is needed; Django itself
    would collect all parts first. Between two parts it holds no database connection: who reads slowly blocks nobody."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: Iterator[bytes] = iter(self.streaming_content)  # type: ignore[arg-type]

        def following() -> bytes | None:
            try:
                return next(parts, None)
            finally:
                close_old_connections()

        while (part := await sync_to_async(following)()) is not None:
            yield part
