"""Secret values in the hands of the portal: known to the redactor before anything else sees them, and comparable without
being kept.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from django.conf import settings

from core.redactor import current
from engine.manifests.secretfiles import secret_values
from engine.types import Json


def digest(value: bytes) -> str:
    """The keyed hash of a secret value (DIGEST_KEY): equal for equal values, says nothing about them otherwise."""
    return hmac.new(settings.DIGEST_KEY.encode(), value, hashlib.sha256).hexdigest()[:16]


def register(values: Iterable[str | bytes]) -> None:
    """Makes the values known to the redactor of the run or request. Raises RuntimeError where none is in force: a value
    that nobody would replace is not read."""
    redactor = current()
    if redactor is None:
        raise RuntimeError("Secrets are only read where a redactor is in force (core.redactor.redacting).")
    redactor.add(values)


def register_objects(bodies: Iterable[Json]) -> None:
    """The same for every value of the Secrets among these objects."""
    register(secret_values(bodies))
