"""Secret values that the portal reads: registering them with the redactor, and keyed digests that compare them without
storing them.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from functools import partial

from django.conf import settings

from core.redactor import current
from engine.manifests.masking import Digests
from engine.manifests.secretfiles import secret_values
from engine.types import Json


def digest(value: bytes) -> str:
    """The keyed hash (HMAC-SHA-256 with DIGEST_KEY, 16 hexadecimal digits) of a secret value. Equal values have equal
    digests; without the key a digest reveals nothing else."""
    return _digest(settings.DIGEST_KEY.encode(), value)


def digests_of(environment: str) -> Digests:
    """The digests of values in one environment, given as `<project>.<environment>`: each environment has a key of its own."""
    key = hmac.digest(
        settings.DIGEST_KEY.encode(), b"slipway: values of environment " + environment.encode(), "sha256"
    )
    return Digests(here=partial(_digest, key), anywhere=digest)


def _digest(key: bytes, value: bytes) -> str:
    return hmac.digest(key, value, "sha256").hex()[:16]


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
