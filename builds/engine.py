"""The Docker engine of this installation, as the settings name it."""

from __future__ import annotations

from django.conf import settings

from adapters.docker.engine import Engine


def engine(*, timeout: float = 30.0) -> Engine:
    """The engine. Makes no request. `timeout`: seconds for a question; builds and pushes have limits of their own."""
    return Engine(
        settings.DOCKER_HOST, settings.DOCKER_CERT_PATH, builder=settings.DOCKER_BUILDER, timeout=timeout
    )
