"""Listens to a channel of Redis inside an event loop, for the live pages of a web process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from django.conf import settings
from redis import asyncio as aioredis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

log = structlog.get_logger(__name__)
# After which a silent Redis is asked for a sign of life, and as long again until the connection is given up.
QUIET_SECONDS = 10.0


async def listen(channel: str, heard: Callable[[str], None]) -> None:
    """Calls `heard` with the text of each message, until it is cancelled. Subscribes again after an error of Redis: who
    listens must look by themselves now and then."""
    while True:
        try:
            limits = {"socket_connect_timeout": 2, "socket_timeout": 2}
            async with (
                aioredis.from_url(settings.REDIS_URL, **limits) as client,
                client.pubsub() as pubsub,
            ):
                await pubsub.subscribe(channel)
                await _hear(pubsub, heard)
        except (RedisError, OSError) as error:
            log.info("the bell is silent; live pages look by themselves", error=type(error).__name__)
            await asyncio.sleep(2)


async def _hear(pubsub: PubSub, heard: Callable[[str], None]) -> None:
    """Passes each message on. Raises RedisError when Redis gives no sign of life: a connection that a firewall dropped would
    stay silent for ever."""
    asked = False
    while True:
        message = await pubsub.get_message(timeout=QUIET_SECONDS)
        if message is None:
            if asked:
                raise RedisTimeout("no answer to a ping")
            await pubsub.ping()
        elif message["type"] == "message":
            heard(message["data"].decode())
        asked = message is None
