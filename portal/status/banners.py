"""The banners on every page of a signed-in person: troubles of the portal itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portal.status import telling, troubles, watch

FOR_OTHERS = "Tell an admin if it stays so."


@dataclass(frozen=True)
class Banner:
    """One banner, as `base.html` shows it."""

    state: str
    text: str
    url: str
    link: str


def banners(user: Any) -> list[Banner]:
    """The banners for this person; none without a sign-in. Costs no query: threads ask, every few seconds."""
    if user is None or not user.is_authenticated:
        return []
    seen = watch.for_page()
    telling.look()
    advice = {True: lambda remedy: remedy, False: lambda remedy: FOR_OTHERS}[bool(user.is_admin)]
    return [
        Banner(one.state, f"{one.text} {advice(one.remedy)}".strip(), one.url, one.link)
        for one in troubles.found(seen)
    ]
