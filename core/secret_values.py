"""Secret values that the portal reads: registering them with the redactor, and keyed digests that compare them without
storing them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from django.conf import settings

from core.redactor import current
from engine.manifests.secretfiles import secret_values
from engine.types import Json


def digest(value: bytes) -> str:
    """The keyed hash (HMAC-SHA-256 with DIGEST_KEY, 16 hexadecimal digits) of a secret value. Equal values have equal
    digests; without the key a digest reveals nothing else."""
    return hmac.digest(settings.DIGEST_KEY.encode(), value, "sha256").hex()[:16]


def register(values: Iterable[str | bytes]) -> None:
    """Registers the values with the current redactor. Raises RuntimeError when there is none: then no text would be
    redacted, so no secret may be read."""
    redactor = current()
    if redactor is None:
        raise RuntimeError("Secrets are only read where a redactor is in force (core.redactor.redacting).")
    redactor.add(values)


def register_objects(bodies: Iterable[Json]) -> None:
    """Registers every value of the Secrets among these objects, as `register` does."""
    register(secret_values(bodies))
