"""What people write beside a secret: comments, reasons and notes. It is kept without any value that it quotes.

The redactor takes out the values that it knows. So whoever keeps such a text reads the versions first that it may be about:
the old values as well as the new ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from adapters.errors import NotFound
from core.redactor import redact_text
from core.storable import storable_text
from engine.errors import ManifestError
from projects.models import SecretsFile
from secrets_ui.known.reading import read_version
from secrets_ui.models import Secret

LONGEST = 300
_UNCHECKED = "(not kept: AWS did not give the values, so that nothing could tell whether it quotes one)"


def said(text: str) -> str:
    """The text as it is kept: without the values that were read in this request, and no longer than a column takes."""
    return storable_text(redact_text(text.strip()))[:LONGEST]


def unchecked(text: str) -> str:
    """What is kept in place of a text while no value was read that it could quote; nothing for an empty one."""
    return _UNCHECKED if text.strip() else ""


def checked(text: str, file: SecretsFile, secret: Secret, versions: Iterable[str]) -> str:
    """The text without the values of these versions; nothing of it where AWS does not give one of them any more, such as those of
    a secret that is scheduled for deletion. Asks AWS only where there is a text. Raises ExternalError."""
    if not text.strip():
        return ""
    return said(text) if know_values(file, secret, versions) else unchecked(text)


def know_values(file: SecretsFile, secret: Secret, versions: Iterable[str]) -> bool:
    """Makes the values of these versions known to the redactor; whether AWS gave all of them. Raises ExternalError."""
    try:
        for version in dict.fromkeys(filter(None, versions)):
            # Every part of such a text is registered before that is said.
            with contextlib.suppress(ManifestError):
                read_version(file, secret, version)
    except NotFound:
        return False
    return True
