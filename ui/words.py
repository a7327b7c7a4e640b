"""Formats numbers, times and names for pages. Pure functions; `static/js/app.js` has the same `ago` for open pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_JUST_NOW_SECONDS = 10


def duration(seconds: float | None) -> str:
    """Seconds as the two greatest units: `1 min 12 s`, `2 h 5 min`, `9 s`; `–` for None, `<1 s` below one second."""
    if seconds is None:
        return "–"
    rest = int(max(seconds, 0))
    if rest < 1:
        return "<1 s"
    for position, (size, unit) in enumerate(_UNITS):
        if rest >= size:
            whole, rest = divmod(rest, size)
            smaller, small_unit = _UNITS[min(position + 1, len(_UNITS) - 1)]
            second = rest // smaller
            return (
                f"{whole} {unit} {second} {small_unit}" if second and smaller != size else f"{whole} {unit}"
            )
    return "<1 s"


def ago(moment: datetime, now: datetime) -> str:
    """The time between `moment` and `now` in the greatest unit: `just now`, `3 min ago`, `in 5 h`, `41 d ago`."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < _JUST_NOW_SECONDS:
        return "just now"
    size, unit = next((size, unit) for size, unit in _UNITS if abs(seconds) >= size)
    amount = f"{int(abs(seconds) // size)} {unit}"
    return f"{amount} ago" if seconds > 0 else f"in {amount}"


def lasting(since: datetime, now: datetime) -> str:
    """How long something has been so, in the greatest unit: `for a moment`, `for 3 min`, `for 41 d`."""
    told = ago(since, now)
    return "for a moment" if not told.endswith(" ago") else f"for {told.removesuffix(' ago')}"


def absolute(moment: datetime) -> str:
    """The moment in UTC, for a tooltip that scripts convert to the viewer's zone: `14 Jul 2026, 10:13:20 UTC`."""
    return f"{moment.astimezone(UTC):%-d %b %Y, %H:%M:%S} UTC"


def initials(name: str) -> str:
    """Two letters for a name: of its first and last word, or the first two of its only word."""
    words = [word for word in re.split(r"[\s._-]+", name.strip()) if word]
    if not words:
        return "?"
    letters = words[0][0] + words[-1][0] if len(words) > 1 else words[0][:2]
    return letters.upper()


def split_id(text: str, tail: int = 8) -> tuple[str, str]:
    """Splits a long id in two, so that a page can cut the first part and always show the last part.

    The last part begins after the last separator (`worker-6f8b9c7d55-` + `pz4mn`), else it is the last `tail`
    characters.
    """
    if len(text) <= 2 * tail:
        return text, ""
    cut = max(text.rfind(separator) for separator in "-/:.") + 1
    if not 0 < len(text) - cut <= 2 * tail:
        cut = len(text) - tail
    return text[:cut], text[cut:]


def size(count: int) -> str:
    """A number of bytes with one decimal: `512 B`, `14.2 kB`, `98.1 MB`."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


def about_left(left: float, usual: float) -> str:
    """How long something still takes, roughly: `about 40 s left, usually 1 min 10 s`; `longer than usual (1 min 10 s)`."""
    if left <= 0:
        return f"longer than usual ({duration(usual)})"
    step = 5 if left < 60 else 10 if left < 300 else 60
    rough = max(step, round(left / step) * step)
    return f"about {duration(rough)} left, usually {duration(usual)}"
