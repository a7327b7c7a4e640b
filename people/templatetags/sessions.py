"""What the page of an ended session says about the fields it does not send again."""

from __future__ import annotations

from django import template
from django.http import HttpRequest

from core.middleware import NOT_KEPT

register = template.Library()
OWN = "csrfmiddlewaretoken"


@register.simple_tag
def left_out(request: HttpRequest) -> list[str]:
    """`{% left_out request as names %}`: fields that were filled in and are secrets, or files: to be entered again."""
    if request.method != "POST":
        return []
    fields = [name for name, value in request.POST.items() if value and NOT_KEPT.search(name) and name != OWN]
    return list(dict.fromkeys(name.removesuffix("_file") for name in [*fields, *request.FILES]))
