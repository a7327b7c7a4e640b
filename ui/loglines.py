"""Lines of a run's log as HTML: numbered, each with an address, coloured by level. Strings are joined directly and not
by templates, because a page may hold thousands of lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

_CLASSES = {"error": "bad", "warning": "odd", "gap": "gap"}


class Line(Protocol):
    """One line. `level`: debug, info, warning, error, or gap (lines were left out here). `at` may be None."""

    number: int
    at: datetime | None
    level: str
    text: str


def render(lines: Iterable[Line]) -> SafeString:
    """The lines as `<li id="L12">`s for an `<ol class="log-lines">`."""
    return mark_safe("".join(_item(line) for line in lines))  # noqa: S308 (every part is escaped below)


def clock(moment: datetime) -> SafeString:
    """Hour, minute and second in UTC; the page's script converts it to the viewer's time zone."""
    utc = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-clock>{}</time>', utc.isoformat(timespec="seconds"), f"{utc:%H:%M:%S}"
    )


def _item(line: Line) -> str:
    css = _CLASSES.get(line.level, "")
    time = clock(line.at) if line.at else ""
    number = int(line.number)
    return (
        f'<li id="L{number}" class="{css}"><a href="#L{number}" tabindex="-1">{number}</a>'
        f"{time}<span>{escape(line.text)}</span></li>"
    )
