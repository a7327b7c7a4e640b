"""Registry tokens that expire, as ECR's do: the password of the user `AWS`.

A token contains its time of expiry and a signature, so the server stores no tokens: they survive a restart and expire on
time.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LIFETIME = 12 * 3600.0  # seconds; AWS: "The authorization token is valid for 12 hours"


class TokenState(enum.Enum):
    """The result of checking a password."""

    VALID = "valid"
    EXPIRED = "expired"
    INVALID = "invalid"


@dataclass(frozen=True)
class Token:
    """A password for the user `AWS` and the time (seconds since 1970, UTC) at which it ends."""

    password: str
    expires_at: float


@dataclass
class Tokens:
    """Issues and checks tokens signed by `key`, each good for `lifetime` seconds. Those made until `ended_until` (seconds since
    1970) have ended in any case."""

    key: bytes
    lifetime: float = LIFETIME
    clock: Callable[[], float] = time.time
    ended_until: float = 0.0

    def issue(self) -> Token:
        """A new token, different from all others."""
        now = self.clock()
        expires_at = float(int(now + self.lifetime))
        claim = json.dumps({"id": secrets.token_hex(8), "exp": expires_at, "iat": now}).encode()
        return Token(password=f"{_encode(claim)}.{self._signature(claim)}", expires_at=expires_at)

    def check(self, password: str) -> TokenState:
        """Checks whether this password is valid now."""
        encoded, _, signature = password.partition(".")
        try:
            claim = base64.urlsafe_b64decode(encoded.encode())
        except (binascii.Error, ValueError):
            return TokenState.INVALID
        if not hmac.compare_digest(signature.encode(), self._signature(claim).encode()):
            return TokenState.INVALID
        said = json.loads(claim)
        made_at = said.get("iat", said["exp"] - LIFETIME)  # tokens of earlier sandboxes do not tell
        is_over = said["exp"] <= self.clock() or made_at <= self.ended_until
        return TokenState.EXPIRED if is_over else TokenState.VALID

    def _signature(self, claim: bytes) -> str:
        return hmac.new(self.key, claim, hashlib.sha256).hexdigest()


def load_key(path: Path) -> bytes:
    """The signing key of this folder, made at first use; readable by its owner only."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return bytes.fromhex(path.read_text())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()
