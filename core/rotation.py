"""Every place of the database that holds values of `core.fields.encrypt`, and writing them again with the first key.

Encrypted columns of models are found by their type. A table of a library that keeps encrypted texts inside of JSON is
named here by its app (`also`), because nothing in the model says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import models, transaction

from core.fields import EncryptedTextField, decrypt, encrypt

# Every Fernet token begins so: its version byte and the leading zeros of its time, in base64.
TOKEN_START = "gAAAAA"  # noqa: S105  (no secret)


@dataclass(frozen=True)
class Place:
    """A model and its columns that hold encrypted values: `columns` as a whole, `within` as texts inside of JSON."""

    model: type[models.Model]
    columns: tuple[str, ...] = ()
    within: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of the columns."""
        return self.columns + self.within


_within_json: dict[str, tuple[str, ...]] = {}


def also(label: str, *columns: str) -> None:
    """Names JSON columns with encrypted texts in a table of a library. `label`: `app.Model`."""
    _within_json[label] = columns


def places() -> Iterator[Place]:
    """Every model that holds encrypted values."""
    for model in apps.get_models():
        names = tuple(f.name for f in model._meta.concrete_fields if isinstance(f, EncryptedTextField))
        within = _within_json.get(model._meta.label, ())
        if names or within:
            yield Place(model, names, within)


def rotate(place: Place) -> int:
    """Encrypts the place's values of all rows again. Returns the number of rewritten rows.

    Each row is locked while it is read and written, so that a value saved at the same time is not overwritten by an
    older one. Raises CannotDecrypt for a row that no key decrypts; the rows before it stay rewritten.
    """
    rows: Any = place.model._default_manager
    return sum(rotate_row(place, pk) for pk in list(rows.values_list("pk", flat=True)))


def rotate_row(place: Place, pk: object) -> int:
    """Rewrites one row in its own transaction. Returns 1, or 0 when the row was deleted meanwhile."""
    rows: Any = place.model._default_manager
    with transaction.atomic():
        row = rows.select_for_update().only("pk", *place.names).filter(pk=pk).first()
        if row is None:
            return 0
        values = {name: getattr(row, name).open() for name in place.columns}
        values |= {name: again(getattr(row, name)) for name in place.within}
        return int(rows.filter(pk=pk).update(**values))


def again(value: Any) -> Any:
    """A JSON value with each encrypted text in it encrypted with the first key. Other values stay as they are."""
    if isinstance(value, dict):
        return {key: again(item) for key, item in value.items()}
    if isinstance(value, list):
        return [again(item) for item in value]
    if isinstance(value, str) and value.startswith(TOKEN_START):
        return encrypt(decrypt(value))
    return value
