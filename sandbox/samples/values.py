"""Values of the samples' secrets. Each sandbox gets its own, because they hold something random."""

from __future__ import annotations

import re
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

RAW_KEY, PRIVATE_KEY = "{raw key}", "{private key}"


def filled(pattern: str) -> bytes:
    """The value that a pattern stands for.

    `{random}` in it becomes a random word. `{raw key}` stands for 32 bytes that are no text, `{private key}` for a private
    key as PEM.
    """
    if pattern == RAW_KEY:
        return b"\xff" + secrets.token_bytes(31)  # no UTF-8 text has this byte
    if pattern == PRIVATE_KEY:
        return _private_key()
    return re.sub(r"\{random\}", lambda _: secrets.token_hex(12), pattern).encode()


def _private_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
