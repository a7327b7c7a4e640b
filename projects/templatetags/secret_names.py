"""`{% load secret_names %}`: names of secret keys on pages."""

from __future__ import annotations

from collections.abc import Sequence

from django import template

from projects import secret_names

register = template.Library()


@register.filter
def shown_keys(keys: Sequence[str], sees_names: bool) -> str:
    """`{{ finding.keys|shown_keys:sees_names }}`: the names, for people with the right; nothing for all others."""
    return secret_names.shown_keys(keys, sees_names)
