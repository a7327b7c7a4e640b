"""Slugs: short names that stand in addresses and in labels on the cluster."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

# The portal's own addresses use these words, so they cannot be slugs.
_WORDS = """
    settings new deploy deploys secrets search status builds registry clusters audit insights
    admin api login logout account projects environments images members static healthz readyz
    metrics webhooks django-admin setup edit delete cancel rollback preview stream log export
"""
RESERVED = frozenset(_WORDS.split())

slug_is_well_formed = RegexValidator(
    r"\A[a-z]([a-z0-9-]*[a-z0-9])?\Z",
    "Use lower-case letters, digits and hyphens; begin with a letter, do not end with a hyphen.",
)


def slug_is_free(value: str) -> None:
    """Raises ValidationError for a word that the portal's own addresses use."""
    if value in RESERVED:
        raise ValidationError(f"“{value}” is a word of the portal's own addresses. Choose another one.")


def word_is_not_new(value: str) -> None:
    """Raises ValidationError for `new`. For names whose address lies beside a page `new` that creates one."""
    if value == "new":
        raise ValidationError("“new” is a word of the portal's own addresses. Choose another one.")


class SlugField(models.CharField):
    """A short name in addresses and on the cluster. It never changes after creation, because clusters keep it in labels."""

    default_validators = [slug_is_well_formed, slug_is_free]
