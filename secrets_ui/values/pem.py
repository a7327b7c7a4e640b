"""PEM texts: whether they can be read, when a certificate ends, whether it belongs to a key."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

SOON_DAYS = 30
# A body holds no five dashes. So a beginning without an end is given up at the next one: a search to the end of the text for
# each of many would take seconds.
_BLOCK = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n((?:[^-]|-(?!----))*+)-----END ([A-Z0-9 ]+)-----", re.DOTALL
)
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


def is_sound(value: bytes) -> bool:
    """Every block begins and ends alike, holds base64, and certificates and keys can be read."""
    blocks = _BLOCK.findall(value)
    if not blocks or len(blocks) != value.count(b"-----BEGIN "):
        return False
    return all(begin == end and _is_body(body) for begin, body, end in blocks) and all(
        _certificate(block) is not None for block in _certificates(value)
    )


def _is_body(body: bytes) -> bool:
    """Base64 behind the headers that old encrypted keys carry."""
    content = body.replace(b"\r", b"").rpartition(b"\n\n")[2]
    lines = [line for line in content.split(b"\n") if not line.startswith(b"=")]  # OpenPGP's checksum
    try:
        return bool(base64.b64decode(b"".join(b"".join(lines).split()), validate=True))
    except (binascii.Error, ValueError):
        return False


def certificate_findings(value: bytes, now: datetime) -> Iterator[tuple[str, str]]:
    """Code and sentence for the first certificate that has ended, ends soon, or is not valid yet."""
    for block in _certificates(value):
        certificate = _certificate(block)
        if certificate is None:
            continue
        days = (certificate.not_valid_after_utc - now).total_seconds() / 86_400
        if days < 0:
            yield "certificate-ended", f"The certificate ended {_days(-days)} ago."
            return
        if certificate.not_valid_before_utc > now:
            yield "certificate-early", "The certificate is not valid yet."
            return
        if days < SOON_DAYS:
            yield "certificate-soon", f"The certificate ends in {_days(days)}."
            return


def _days(days: float) -> str:
    whole = int(days)
    return "less than a day" if whole == 0 else "1 day" if whole == 1 else f"{whole} days"


def fits(certificate: bytes, key: bytes) -> bool | None:
    """Whether the first certificate and the private key belong together; None when either cannot be read."""
    blocks = _certificates(certificate)
    first = _certificate(blocks[0]) if blocks else None
    try:
        private = load_pem_private_key(key, password=None)
        return None if first is None else _public(first.public_key()) == _public(private.public_key())
    except _UNREADABLE:
        return None


def _public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _certificates(value: bytes) -> list[bytes]:
    return [found.group() for found in _BLOCK.finditer(value) if found.group(1) == b"CERTIFICATE"]


def _certificate(block: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(block)
    except _UNREADABLE:
        return None
