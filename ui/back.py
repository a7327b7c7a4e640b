"""Where a form goes on to when it is done: the page that the person came from."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def next_or(request: HttpRequest, default: str) -> str:
    """The address in the field or parameter `next`, if it is a path of this site; else `default`."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return default


def remember(request: HttpRequest, place: str) -> None:
    """Keeps the address in the parameter `next` for the pages of a place that a person looks at now, over several forms."""
    wanted = next_or(request, "")
    if wanted:
        request.session[_KEPT] = [place, wanted]


def remembered(request: HttpRequest, place: str) -> str:
    """The address that was kept for this place, or empty."""
    kept = request.session.get(_KEPT, ["", ""])
    return str(kept[1]) if kept[0] == place else ""


def forget(request: HttpRequest) -> None:
    """Forgets the address: the person is back."""
    request.session.pop(_KEPT, None)


_KEPT = "back"
