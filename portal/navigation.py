"""The table of contents of the site: what stands in the navigation and in the menu of the admin. A new page goes here.

An entry shows which address it leads to, who sees it, and which further addresses lie below it. The entry with the
longest address above a page is the current one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse_lazy


def everybody(user: Any) -> bool:
    """Whoever is signed in."""
    return True


def readers_of_the_audit(user: Any) -> bool:
    """Admins and auditors."""
    return admins(user) or bool(getattr(user, "is_auditor", False))


def admins(user: Any) -> bool:
    """Admins alone."""
    return bool(getattr(user, "is_admin", False))


@dataclass(frozen=True)
class NavEntry:
    """One destination. `jump`: the letter after `g`. `also`: further addresses that belong to it, `*`
    for any word. `may`: who sees it.

    `current`, filled in for a page: "page" on it, "true" below it, empty elsewhere.
    """

    name: str
    url: Any  # a str, or a lazy one
    icon: str = ""
    jump: str = ""
    also: tuple[str, ...] = ()
    may: Callable[[Any], bool] = everybody
    current: str = ""


MAIN = (
    NavEntry("Board", reverse_lazy("portal:board"), "layout-grid", "b", also=("/projects/",)),
    NavEntry("Deploys", reverse_lazy("deployments:history"), "arrow-right-to-line", "d"),
    NavEntry("Secrets", reverse_lazy("secrets:overview"), "key-round", "s", also=("/projects/*/*/secrets/",)),
    NavEntry("Audit", reverse_lazy("audit:list"), "scroll-text", "a", may=readers_of_the_audit),
)
# Apart from the others: at the lower end of the side.
END = (NavEntry("Admin", reverse_lazy("portal:admin"), "sliders-horizontal", "m", may=admins),)

ADMIN_MENU = (
    NavEntry("Overview", reverse_lazy("portal:admin")),
    NavEntry("People", reverse_lazy("people:people")),
    NavEntry("Clusters", reverse_lazy("projects:clusters")),
    NavEntry("Registries", reverse_lazy("projects:registries")),
    NavEntry("First steps", reverse_lazy("projects:first-steps")),
)


def seen_by(user: Any, entries: Sequence[NavEntry]) -> list[NavEntry]:
    """The entries that this person sees; none for somebody who is not signed in."""
    if not (user and user.is_authenticated):
        return []
    return [entry for entry in entries if entry.may(user)]


def marked(entries: Sequence[NavEntry], path: str) -> list[NavEntry]:
    """The entries, the one that `path` belongs to marked as current: that of the longest address above it."""
    lengths = [_reach(entry, path) for entry in entries]
    longest = max(lengths, default=0)
    return [
        replace(
            entry, current="page" if path == entry.url else "true" if longest and length == longest else ""
        )
        for entry, length in zip(entries, lengths, strict=True)
    ]


def _reach(entry: NavEntry, path: str) -> int:
    """How much of `path` the entry stands for; the board's own address stands for itself alone."""
    own = str(entry.url)
    above = [_length(address, path) for address in (own, *entry.also) if address != "/"]
    return max([*above, len(own) if path == own else 0])


def _length(address: str, path: str) -> int:
    """How much of `path` is this address, of which a `*` is one word."""
    found = re.match(re.escape(address).replace(r"\*", "[^/]+"), path)
    return len(found[0]) if found else 0
