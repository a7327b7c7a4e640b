"""The cache in the database, with a signature on every value.

Django's own keeps pickles, which run code as they are read: a person who can write to the table could run code in the portal,
and with that read the keys that the database does not hold. Here a value is read only when the portal signed it
(SECRET_KEY) for this entry.
"""

from __future__ import annotations

import base64
import hmac
import io
import pickle
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.db import DatabaseCache
from django.db import connections, models, router
from django.utils import timezone
from django.utils.crypto import salted_hmac


class SignedDatabaseCache(DatabaseCache):
    """Django's cache table. An entry that is not signed counts as none, so that it is made anew."""

    _table: str
    _base_set: Callable[..., Any]

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> None:
        full = self.make_and_validate_key(key, version=version)
        self._base_set("set", full, signed(full, value), timeout)

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        full = self.make_and_validate_key(key, version=version)
        return bool(self._base_set("add", full, signed(full, value), timeout))

    def get_many(self, keys: Any, version: Any = None) -> dict[Any, Any]:
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        found = {full: verified(full, text) for full, text in self._rows(list(names))}
        return {names[full]: box[0] for full, box in found.items() if box}

    def _rows(self, names: list[str]) -> list[tuple[str, str]]:
        """Key and stored text of each entry that has not expired."""
        if not names:
            return []
        connection = connections[router.db_for_read(self.cache_model_class)]
        table, marks = connection.ops.quote_name(self._table), ", ".join(["%s"] * len(names))
        query = f"SELECT cache_key, value, expires FROM {table} WHERE cache_key IN ({marks})"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(query, names)
            rows = cursor.fetchall()
        now = timezone.now()
        return [(key, text) for key, text, until in rows if _in_time(until, connection) >= now]


def _in_time(value: Any, connection: Any) -> Any:
    """The time of a raw row as Django's own fields would give it."""
    expression = models.Expression(output_field=models.DateTimeField())
    converters = connection.ops.get_db_converters(expression) + expression.get_db_converters(connection)
    for convert in converters:
        value = convert(value, expression, connection)
    return value


def signed(key: str, value: Any) -> str:
    """The text that is stored: signature and pickle."""
    pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _signature(key, pickled) + base64.b64encode(pickled).decode()


def verified(key: str, stored: str) -> tuple[Any] | None:
    """The value in a tuple, or None for an entry that the portal did not sign."""
    try:
        text = _TextOnly(io.BytesIO(base64.b64decode(stored.encode()))).load()
        pickled = base64.b64decode(text[64:].encode())
    except (ValueError, TypeError, AttributeError, EOFError, IndexError, pickle.UnpicklingError):
        return None
    if not hmac.compare_digest(text[:64].encode(), _signature(key, pickled).encode()):
        return None
    return (pickle.loads(pickled),)  # noqa: S301  (ours: the signature fits)


class _TextOnly(pickle.Unpickler):
    """Django pickles the signed text once more; no pickle of a text names a class or a function."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError("Not a text.")


def _signature(key: str, pickled: bytes) -> str:
    message = key.encode() + b"\0" + pickled
    return salted_hmac(
        "core.signedcache", message, secret=settings.SECRET_KEY, algorithm="sha256"
    ).hexdigest()
