"""Model fields whose values are encrypted at rest with `ENCRYPTION_KEYS` (Fernet).

The first key encrypts; each key decrypts. `manage.py rotatekeys` encrypts all values again with the first key.

A row holds the value sealed (`Sealed`) and opens it only where it is used. So a value that no key decrypts stops neither a
page nor a job that only needs other fields of its row, and no page, log or error can show it by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

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


@dataclass(frozen=True, repr=False)
class Sealed:
    """An encrypted value. It is false when nothing is set. Two of them are equal only when their ciphertexts are; compare a
    value by `holds`."""

    ciphertext: str

    def open(self) -> str:
        """The value in clear text. Raises CannotDecrypt."""
        return decrypt(self.ciphertext)

    def holds(self, value: str) -> bool:
        """Whether this is the value. False also when no key decrypts it, so that it can be replaced."""
        try:
            return self.open() == value
        except CannotDecrypt:
            return False

    @property
    def is_readable(self) -> bool:
        """Whether something is set, and a key decrypts it."""
        try:
            return bool(self.open())
        except CannotDecrypt:
            return False

    def __bool__(self) -> bool:
        return bool(self.ciphertext)

    def __repr__(self) -> str:
        return "(sealed)" if self else ""


def seal(value: str) -> Sealed:
    """The value, encrypted with the first key."""
    return Sealed(encrypt(value))


def opened(value: Sealed | str) -> str:
    """The clear text of a stored value, or of one that was just entered. Raises CannotDecrypt."""
    return value.open() if isinstance(value, Sealed) else value


class SealedAttribute(DeferredAttribute):
    """Seals a text that is assigned to a row, so that it holds nothing but sealed values."""

    def __set__(self, instance: models.Model, value: Sealed | str | None) -> None:
        name = self.field.attname
        instance.__dict__[name] = seal(value) if isinstance(value, str) else value


if TYPE_CHECKING:
    _Text = models.TextField[Sealed | str, Sealed]
else:
    _Text = models.TextField


class EncryptedTextField(_Text):
    """Text that is stored encrypted; its value on a row is `Sealed`. A query can only compare it with the empty text: equal
    texts have different ciphertexts."""

    descriptor_class = SealedAttribute

    def to_python(self, value: Any) -> Any:
        """What validation sees: a sealed value, or the empty text when nothing is set."""
        if isinstance(value, Sealed):
            return value if value else ""
        return super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        """The ciphertext for the database."""
        if isinstance(value, Sealed):
            return value.ciphertext
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, *_: Any) -> Sealed | None:
        """The sealed value of a row that is loaded; nothing is decrypted."""
        return None if value is None else Sealed(value)

    def formfield(self, *_: Any, **__: Any) -> None:
        """No form of a model shows it."""
