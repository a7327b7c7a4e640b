"""Whether the portal is empty, for the page of signing in."""

from __future__ import annotations

from django import template

from people.models import User

register = template.Library()


@register.simple_tag
def nobody_yet() -> bool:
    """Whether no account exists: then the page tells where the link for the first one is."""
    return not User.objects.exists()
