"""The context of `base.html` on every page: the theme, the navigation by the person's rights, the request's id, and
banners about troubles of the portal."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.navigation import ADMIN_MENU, END, MAIN, NavEntry, marked, seen_by
from portal.status.banners import banners

THEMES = ("light", "dark")
THEME_COOKIE = "theme"
_FIT_ON_A_PHONE = 5


def shell(request: HttpRequest) -> dict[str, Any]:
    """The context processor. `nav` and `nav_end` are empty without a sign-in.

    `nav_more`: the entries that a phone's bar shows under More, because it has no room for all. `admin_menu`: for the
    pages of the admin (admin_page.html).
    """
    user = getattr(request, "user", None)
    main, end = seen_by(user, MAIN), seen_by(user, END)
    both = marked([*main, *end], request.path)
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return {
        "theme": theme if theme in THEMES else "",
        "request_id": getattr(request, "request_id", ""),
        "banners": banners(user),
        "nav": both[: len(main)],
        "nav_end": both[len(main) :],
        "nav_more": len(both) > _FIT_ON_A_PHONE,
        "admin_menu": admin_menu(request.path) if end else [],
    }


def admin_menu(path: str) -> list[NavEntry]:
    """The menu beside every page of the admin; a page below an entry marks that entry."""
    return marked(ADMIN_MENU, path)
