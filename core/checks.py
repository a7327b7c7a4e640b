"""Django system checks: they report a wrong setting, and its remedy, at start and not in the first deploy."""

from __future__ import annotations

import ipaddress
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def keys_are_usable(**_: Any) -> list[CheckMessage]:
    """The three keys are set, and those for encryption are Fernet keys."""
    messages: list[CheckMessage] = []
    if settings.KEYS_ARE_MISSING:
        messages.append(
            Error(
                "SECRET_KEY, ENCRYPTION_KEYS and DIGEST_KEY must be set.",
                hint="`manage.py newkeys` prints a set. Keep them: without ENCRYPTION_KEYS all encrypted values are lost.",
                id="slipway.E001",
            )
        )
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


@register()
def networks_are_addresses(**_: Any) -> list[CheckMessage]:
    """TRUSTED_PROXIES and METRICS_NETWORKS hold only IP addresses and networks: requests are compared with them."""
    return [
        Error(
            f"{name} holds {given!r}, which is no address and no network.",
            hint="Write addresses or networks separated by commas, e.g. 10.0.0.0/8,192.0.2.7. Names do not work.",
            id="slipway.E003",
        )
        for name in ("TRUSTED_PROXIES", "METRICS_NETWORKS")
        for given in getattr(settings, name)
        if not _is_network(given)
    ]


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
