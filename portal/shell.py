"""What `base.html` needs on every page: the theme, the navigation by the person's rights, the request's reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

THEMES = ("light", "dark")
THEME_COOKIE = "theme"


@dataclass(frozen=True)
class NavItem:
    """One destination. `jump`: the letter after `g`. `current`: "page" on it, "true" below it, empty elsewhere."""

    name: str
    url: str
    icon: str
    jump: str
    current: str = ""


# name, address, icon, letter, further addresses that belong to it
_MAIN = (
    ("Board", "/", "layout-grid", "b", ("/projects/",)),
    ("Deploys", "/deploys/", "arrow-right-to-line", "d", ()),
)
_AUDIT = ("Audit", "/audit/", "scroll-text", "a", ())
_ADMIN = ("Admin", "/admin/", "sliders-horizontal", "m", ())
_FIT_ON_A_PHONE = 5


def shell(request: HttpRequest) -> dict[str, Any]:
    """The context processor. `nav` and `nav_end` are empty for somebody who is not signed in.

    `nav_more`: a phone's bar does not hold them all, so the later ones go under More.
    """
    user = getattr(request, "user", None)
    signed_in = bool(user and user.is_authenticated)
    is_admin = signed_in and bool(getattr(user, "is_admin", False))
    reads_audit = is_admin or (signed_in and bool(getattr(user, "is_auditor", False)))
    shown = (*_MAIN, *([_AUDIT] if reads_audit else [])) if signed_in else ()
    nav = [_item(request.path, *entry) for entry in shown]
    nav_end = [_item(request.path, *_ADMIN)] if is_admin else []
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "theme": theme if theme in THEMES else "",
        "request_id": getattr(request, "request_id", ""),
        "nav": nav,
        "nav_end": nav_end,
        "nav_more": len(nav) + len(nav_end) > _FIT_ON_A_PHONE,
    }


def _item(path: str, name: str, url: str, icon: str, jump: str, also: tuple[str, ...]) -> NavItem:
    if path == url:
        return NavItem(name, url, icon, jump, "page")
    below = path.startswith(also) or (url != "/" and path.startswith(url))
    return NavItem(name, url, icon, jump, "true" if below else "")
