"""Every address that the portal's URL conf knows: its name with the namespaces, and its route."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import URLResolver, get_resolver


def addresses() -> list[tuple[str, str]]:
    """Name (`deployments:deploy`) and route (`deploys/<int:number>/`) of each."""
    return list(_below(get_resolver().url_patterns, (), ""))


def _below(patterns: Iterable[Any], spaces: tuple[str, ...], route: str) -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        here = route + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
            yield from _below(pattern.url_patterns, inner, here)
        else:
            yield ":".join((*spaces, pattern.name or "")), here
