"""Model fields whose values are encrypted at rest with `ENCRYPTION_KEYS` (Fernet).

The first key encrypts; each key decrypts. `manage.py rotatekeys` encrypts all values again with the first key.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from engine.errors import SlipwayError


class CannotDecrypt(SlipwayError):
    """A stored value cannot be read with any of the keys."""

    code = "cannot-decrypt"


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """The cipher of the configured keys."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS))


def encrypt(value: str) -> str:
    """`value` encrypted with the first key, as text; empty stays empty, so that "not set" can be queried."""
    return cipher().encrypt(value.encode()).decode() if value else ""


def decrypt(value: str) -> str:
    """The reverse of `encrypt`. Raises CannotDecrypt when no key fits."""
    if not value:
        return ""
    try:
        return cipher().decrypt(value.encode()).decode()
    except InvalidToken as error:
        raise CannotDecrypt(
            "A stored credential cannot be decrypted: none of ENCRYPTION_KEYS fits.",
            hint="Put the key that encrypted it back into ENCRYPTION_KEYS, or enter the credential again.",
        ) from error


class EncryptedTextField(models.TextField):
    """Text that is stored encrypted. A query can only compare it with the empty text: equal texts have different
    ciphertexts."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        return decrypt(value) if value else value
