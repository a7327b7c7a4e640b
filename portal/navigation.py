"""The entries of the site's navigation and of the admin's menu. A page that belongs there gets an entry here.

An entry has an address, a rule who sees it, and the further addresses that belong to it. The entry with the
longest address above a page is the current one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse_lazy
from django.utils.functional import SimpleLazyObject

from secrets_ui.requests.counting import to_approve


def everybody(user: Any) -> bool:
    """True: for entries that every signed-in person sees."""
    return True


def readers_of_the_audit(user: Any) -> bool:
    """Whether the user is an admin or an auditor."""
    return admins(user) or bool(getattr(user, "is_auditor", False))


def admins(user: Any) -> bool:
    """Whether the user is an admin."""
    return bool(getattr(user, "is_admin", False))


@dataclass(frozen=True)
class NavEntry:
    """One entry. `jump`: the letter after `g`. `also`: further addresses that belong to it, `*` for any word. `may`: whether a
    user sees it.

    `counts`: how many things behind it wait for a user, and `waiting_words`: what these are. `current`, filled in for a page:
    "page" on it, "true" below it, empty elsewhere; `waiting` likewise: the number.
    """

    name: str
    url: Any  # a str, or a lazy one
    icon: str = ""
    jump: str = ""
    also: tuple[str, ...] = ()
    may: Callable[[Any], bool] = everybody
    counts: Callable[[Any], int] | None = None
    waiting_words: str = ""
    current: str = ""
    waiting: Any = 0


MAIN = (
    NavEntry("Board", reverse_lazy("portal:board"), "layout-grid", "b", also=("/projects/", "/archived/")),
    NavEntry("Deploys", reverse_lazy("deployments:history"), "arrow-right-to-line", "d"),
    NavEntry("Builds", reverse_lazy("builds:list"), "package", "u"),
    NavEntry(
        "Secrets",
        reverse_lazy("secrets:overview"),
        "key-round",
        "s",
        also=("/projects/*/*/secrets/",),
        counts=to_approve,
        waiting_words="waiting for your approval",
    ),
    NavEntry("Registry", reverse_lazy("registry:overview"), "layers", "r"),
    NavEntry("Audit", reverse_lazy("audit:list"), "scroll-text", "a", may=readers_of_the_audit),
)
# These stand apart from the others, at the lower end of the sidebar.
END = (
    NavEntry(
        "Admin", reverse_lazy("portal:admin"), "sliders-horizontal", "m", also=("/status/",), may=admins
    ),
)

ADMIN_MENU = (
    NavEntry("Overview", reverse_lazy("portal:admin")),
    NavEntry("People", reverse_lazy("people:people")),
    NavEntry("Clusters", reverse_lazy("projects:clusters")),
    NavEntry("Registries", reverse_lazy("projects:registries")),
    NavEntry("Allotments", reverse_lazy("projects:allotments")),
    NavEntry("Status", reverse_lazy("status")),
    NavEntry("First steps", reverse_lazy("projects:first-steps")),
)


def seen_by(user: Any, entries: Sequence[NavEntry]) -> list[NavEntry]:
    """The entries that this person sees; none without a sign-in."""
    if not (user and user.is_authenticated):
        return []
    return [_counted(entry, user) for entry in entries if entry.may(user)]


def _counted(entry: NavEntry, user: Any) -> NavEntry:
    """The entry with its number, which is only counted where a page shows it."""
    counts = entry.counts
    return entry if counts is None else replace(entry, waiting=SimpleLazyObject(lambda: counts(user)))


def marked(entries: Sequence[NavEntry], path: str) -> list[NavEntry]:
    """The entries, with one marked as current: the one with the longest address above `path`."""
    lengths = [_reach(entry, path) for entry in entries]
    longest = max(lengths, default=0)
    return [
        replace(
            entry, current="page" if path == entry.url else "true" if longest and length == longest else ""
        )
        for entry, length in zip(entries, lengths, strict=True)
    ]


def _reach(entry: NavEntry, path: str) -> int:
    """The length of the entry's longest address above `path`, 0 for none. The board's address matches only itself."""
    own = str(entry.url)
    above = [_length(address, path) for address in (own, *entry.also) if address != "/"]
    return max([*above, len(own) if path == own else 0])


def _length(address: str, path: str) -> int:
    """How much of `path` is this address, of which a `*` is one word."""
    found = re.match(re.escape(address).replace(r"\*", "[^/]+"), path)
    return len(found[0]) if found else 0
