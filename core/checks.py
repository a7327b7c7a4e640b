"""Django system checks: they report a wrong setting, and its remedy, at start and not in the first deploy."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

SHORTEST_KEY, FEWEST_CHARACTERS = 20, 8


@register()
def keys_are_usable(**_: Any) -> list[CheckMessage]:
    """The three keys are set and cannot be guessed, and those for encryption are Fernet keys."""
    messages: list[CheckMessage] = []
    if settings.KEYS_ARE_MISSING:
        messages.append(
            Error(
                "SECRET_KEY, ENCRYPTION_KEYS and DIGEST_KEY must be set.",
                hint="`manage.py newkeys` prints a set. Keep them: without ENCRYPTION_KEYS all encrypted values are lost.",
                id="slipway.E001",
            )
        )
    messages += [_weak(name) for name in ("SECRET_KEY", "DIGEST_KEY") if is_weak(getattr(settings, name))]
    for position, key in enumerate(settings.ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            messages.append(
                Error(
                    f"Key {position} of ENCRYPTION_KEYS is not 32 bytes of url-safe base64.",
                    hint="`manage.py newkeys` prints one.",
                    id="slipway.E002",
                )
            )
    return messages


def is_weak(key: str) -> bool:
    """Whether a key could be guessed: it is short, or repeats a few characters."""
    return bool(key) and (len(key) < SHORTEST_KEY or len(set(key)) < FEWEST_CHARACTERS)


def _weak(name: str) -> CheckMessage:
    return Error(
        f"{name} is too easily guessed: {SHORTEST_KEY} characters at least, of {FEWEST_CHARACTERS} different kinds.",
        hint="`manage.py newkeys` prints one. With another DIGEST_KEY no older release that holds Secrets can be rolled back to.",
        id="slipway.E004",
    )


@register()
def networks_are_addresses(**_: Any) -> list[CheckMessage]:
    """TRUSTED_PROXIES, METRICS_NETWORKS and GIT_PRIVATE_NETWORKS hold only IP addresses and networks."""
    return [
        Error(
            f"{name} holds {given!r}, which is no address and no network.",
            hint="Write addresses or networks separated by commas, e.g. 10.0.0.0/8,192.0.2.7. Names do not work.",
            id="slipway.E003",
        )
        for name in ("TRUSTED_PROXIES", "METRICS_NETWORKS", "GIT_PRIVATE_NETWORKS")
        for given in getattr(settings, name)
        if not _is_network(given)
    ]


@register()
def github_has_an_address(**_: Any) -> list[CheckMessage]:
    """GITHUB_API_URL is an address of the web."""
    parts = urlsplit(settings.GITHUB_API_URL)
    if parts.scheme in ("https", "http") and parts.hostname and not parts.username:
        return []
    return [
        Error(
            "GITHUB_API_URL is no address.",
            hint="Leave it out for GitHub.com; for an Enterprise Server write https://<host>/api/v3.",
            id="slipway.E005",
        )
    ]


@register()
def builder_is_known(**_: Any) -> list[CheckMessage]:
    """DOCKER_BUILDER is empty or names a builder."""
    if settings.DOCKER_BUILDER in ("", "buildkit", "classic"):
        return []
    return [
        Error(
            f"DOCKER_BUILDER is {settings.DOCKER_BUILDER!r}, which is no builder.",
            hint="Write buildkit or classic, or leave it out: then the best one counts that the engine has.",
            id="slipway.E006",
        )
    ]


@register()
def build_network_is_known(**_: Any) -> list[CheckMessage]:
    """BUILD_NETWORK is empty or none. Others (the engine's machine, another container) would give builds more, not less."""
    if settings.BUILD_NETWORK in ("", "none"):
        return []
    return [
        Error(
            f"BUILD_NETWORK is {settings.BUILD_NETWORK!r}, which is no network for builds.",
            hint="Write none, or leave it out: then steps of builds reach what the engine's containers reach.",
            id="slipway.E007",
        )
    ]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
