"""Strict readers of environment variables: an invalid value stops the start.

A text or list may come from a file: `SECRET_KEY_FILE=/run/secrets/key` is read when `SECRET_KEY` is not set.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable's value, or the content of the file named by `<name>_FILE`, or `default`."""
    value = os.environ.get(name)
    if value is not None:
        return value
    file = os.environ.get(f"{name}_FILE")
    if not file:
        return default
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE names {file}, which cannot be read: {error.strerror}."
        ) from error


def boolean(name: str, default: bool = False) -> bool:
    """`true/false`, `1/0`, `yes/no`, `on/off`. Raises ImproperlyConfigured for any other value."""
    value = os.environ.get(name)
    if value is None:
        return default
    if value.strip().lower() in TRUE:
        return True
    if value.strip().lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; write true or false.")


def integer(name: str, default: int) -> int:
    """A whole number; `default` when the variable is not set or empty."""
    value = os.environ.get(name)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a whole number.") from error


def words(name: str, default: str = "") -> list[str]:
    """A list separated by commas, without empty parts."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]
