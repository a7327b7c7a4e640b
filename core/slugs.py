"""Small things that several apps' models share."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

# Words used in addresses are no slugs.
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
    """Refuses words that the portal's own addresses use."""
    if value in RESERVED:
        raise ValidationError(f"“{value}” is a word of the portal's own addresses. Choose another one.")


def word_is_not_new(value: str) -> None:
    """For names that stand only below an address of their own kind, where `new` is the page that makes one."""
    if value == "new":
        raise ValidationError("“new” is a word of the portal's own addresses. Choose another one.")


class SlugField(models.CharField):
    """A name in addresses and on the cluster. It never changes after creation: clusters keep it in labels."""

    default_validators = [slug_is_well_formed, slug_is_free]
