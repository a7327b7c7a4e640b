"""GitHub's signature of a delivery: HMAC-SHA-256 of the body as it came, under a secret that both sides know. Pure."""

from __future__ import annotations

import hmac
import re

_FORM = re.compile(r"sha256=[0-9a-fA-F]{64}")


def is_signature(header: str) -> bool:
    """Whether `X-Hub-Signature-256` can be a signature at all."""
    return _FORM.fullmatch(header) is not None


def fits(secret: str, body: bytes, header: str) -> bool:
    """Whether the header signs the body with the secret. Takes the same time for every wrong signature; an empty secret signs
    nothing."""
    if not secret or not is_signature(header):
        return False
    wanted = hmac.digest(secret.encode(), body, "sha256").hex()
    return hmac.compare_digest(wanted, header.removeprefix("sha256=").lower())
