"""The list of what was done. A renewal of a whole cluster is told to each person by the namespaces that they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registry.models import Cause, Refresh, RefreshResult
from registry.queries import credentials_for

_RESULT = RefreshResult.Result
_BAD = (_RESULT.FAILED, _RESULT.FOREIGN)
FEW = 3  # namespaces by name


@dataclass(frozen=True)
class Done:
    """A renewal for the list."""

    row: Refresh
    sentence: str

    @property
    def by(self) -> str:
        """The person, or the portal."""
        asked = self.row.cause in (Cause.PERSON, Cause.ADOPTED, Cause.DEPLOY) and self.row.asked_as
        return self.row.asked_as if asked else "system"

    @property
    def place(self) -> str:
        """Its cluster, or a namespace of it; the audit's filter by target finds its events by this."""
        return f"{self.row.cluster.slug}{f'/{self.row.namespace}' if self.row.namespace else ''}"


def done(user: Any, rows: Sequence[Refresh]) -> list[Done]:
    """The renewals for the list; one query for people who are no admins."""
    told = sentences(user, rows)
    return [Done(row, told[row.pk]) for row in rows]


def sentences(user: Any, rows: Sequence[Refresh]) -> dict[int, str]:
    """The result of each renewal in words. Its own sentence may name any namespace of the cluster, so that only admins, and the
    people of the one namespace that it was for, read it."""
    found = {row.pk: row.sentence or row.get_state_display() for row in rows}
    wide = [row.pk for row in rows if not row.namespace]
    if user.is_admin or not wide:
        return found
    results: dict[int, list[tuple[str, str, str]]] = {pk: [] for pk in wide}
    seen = RefreshResult.objects.filter(refresh__in=wide, credential__in=credentials_for(user).order_by())
    for pk, *result in seen.values_list("refresh", "result", "credential__namespace", "sentence").order_by(
        "pk"
    ):
        results[pk].append((result[0], result[1], result[2]))
    return found | {pk: _of_results(results[pk]) or found_state(rows, pk) for pk in wide}


def found_state(rows: Sequence[Refresh], pk: int) -> str:
    """The state alone, of a renewal that came to no Secret that the person sees."""
    return next(row.get_state_display() for row in rows if row.pk == pk)


def _of_results(results: Sequence[tuple[str, str, str]]) -> str:
    """A renewal by its results (result, namespace, sentence) for the namespaces that a person sees."""
    written = [namespace for result, namespace, _ in results if result == _RESULT.WRITTEN]
    bad = [(namespace, text) for result, namespace, text in results if result in _BAD]
    skipped = [(namespace, text) for result, namespace, text in results if result == _RESULT.SKIPPED]
    parts = [f"{len(written)} renewed: {_named(written)}."] if written else []
    if bad:
        parts.append(f"{len(bad)} not renewed; {bad[0][0]}: {bad[0][1]}")
    if not parts and skipped:
        parts.append(f"{len(skipped)} skipped; {skipped[0][0]}: {skipped[0][1]}")
    if not parts and results:
        parts.append("Fresh already.")
    return " ".join(parts)


def _named(namespaces: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(namespaces) - FEW} more" if len(namespaces) > FEW else ""
    return f"{', '.join(namespaces[:FEW])}{more}"
