"""The renewals of the last 30 days of each credential, day by day, as they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from registry.models import RefreshResult

DAYS = 30
NONE, GOOD, BAD = "none", "", "bad"
_SHAPES = {NONE: (15, 3), GOOD: (9, 9), BAD: (0, 18)}  # top and height: told apart without colours
_RESULT = RefreshResult.Result


@dataclass(frozen=True)
class Strip:
    """30 days, the oldest first, each NONE, GOOD or BAD; and the same in words."""

    days: tuple[str, ...]
    words: str

    def drawn(self) -> SafeString:
        """The strip as SVG, with the words for those who do not see it."""
        bars = format_html_join(
            "",
            '<path class="{}" d="{}"/>',
            ((kind, self._path(kind)) for kind in _SHAPES if kind in self.days),
        )
        return format_html(
            '<svg class="strip" viewBox="0 0 119 18" role="img" aria-label="{0}"><title>{0}</title>{1}</svg>',
            self.words,
            bars,
        )

    def _path(self, kind: str) -> str:
        """The bars of one kind: one shape for all keeps a page of many rows small."""
        top, height = _SHAPES[kind]
        days = (at for at, day in enumerate(self.days) if day == kind)
        return "".join(f"M{4 * at} {top}h3v{height}h-3z" for at in days)


def strips(credentials: Sequence[int], now: datetime) -> dict[int, Strip]:
    """The strip of each of these credentials; one query."""
    today = now.date()
    first = today - timedelta(days=DAYS - 1)
    good: dict[int, set[date]] = {pk: set() for pk in credentials}
    bad: dict[int, set[date]] = {pk: set() for pk in credentials}
    rows = (
        RefreshResult.objects.filter(
            credential__in=credentials, refresh__asked_at__gte=now - timedelta(days=DAYS)
        )
        .filter(result__in=(_RESULT.WRITTEN, _RESULT.FAILED, _RESULT.FOREIGN))
        .annotate(day=TruncDate("refresh__asked_at"), last=TruncDate("refresh__ended_at"))
        .order_by()
        .values_list("credential", "result", "day", "last")
        .annotate(times=Count("pk"))
    )
    for pk, result, day, last, _ in rows:
        if result == _RESULT.WRITTEN:
            good[pk].add(last or day)
        else:
            bad[pk].update(_between(day, last or day))
    return {pk: strip(good[pk], bad[pk], first) for pk in credentials}


def _between(first: date, last: date) -> Iterable[date]:
    """The days of a failure: one that goes on is one row, with its beginning and its latest end."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def strip(good: set[date], bad: set[date], first: date) -> Strip:
    """The strip of DAYS days from `first`, of the days with a renewal and of those with a failure."""
    days = [first + timedelta(days=n) for n in range(DAYS)]
    shown = tuple(BAD if day in bad else GOOD if day in good else NONE for day in days)
    return Strip(shown, _words(shown, [day for day in days if day in bad]))


def _words(days: Sequence[str], bad: Sequence[date]) -> str:
    seen = sum(1 for day in days if day != NONE)
    if not seen:
        return "30 days: no renewal"
    text = f"30 days: renewals on {seen} day{'' if seen == 1 else 's'}"
    if not bad:
        return f"{text}, none failed"
    named = ", ".join(f"{day:%-d %b}" for day in bad[-5:])
    return f"{text}; failures on {len(bad)} day{'' if len(bad) == 1 else 's'}{', last' if len(bad) > 5 else ''}: {named}"
