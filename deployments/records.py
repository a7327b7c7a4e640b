"""The record of a revision in its project: where it ran and for how long, where it failed, where it was marked as bad.

Everything comes from the database, in two queries for a whole list of revisions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

from deployments.models import Deploy, Release
from projects.current import current_environments
from projects.models import Environment, Project
from runs.models import State

MOST_DEPLOYS = 500  # of all revisions of a list: the newest ones
LONGEST_REASON = 140
# Other ends (an outage, a cancel) say nothing about the revision; nor does a failure before the first write.
_FAILURES = (State.FAILED, State.TIMED_OUT)


class Place(NamedTuple):
    """An environment, as records name it."""

    pk: int
    slug: str
    name: str
    is_production: bool


@dataclass(frozen=True)
class Stay:
    """A time in which the revision was the one deployed last. `until`: None while it is; `number`: of the deploy."""

    place: Place
    number: int
    since: datetime
    until: datetime | None

    @property
    def seconds(self) -> float | None:
        """How long it was; None while it is."""
        return (self.until - self.since).total_seconds() if self.until else None


@dataclass(frozen=True)
class Failure:
    """The newest deploy of the revision to an environment failed after it had begun to write."""

    place: Place
    number: int
    reason: str
    at: datetime

    @property
    def short(self) -> str:
        """`failed in staging`."""
        return f"failed in {self.place.name}"

    @property
    def said(self) -> str:
        """The failure as a sentence."""
        return f"It failed in {self.place.name} (deploy #{self.number}): {self.reason}"


@dataclass(frozen=True)
class Mark:
    """A person marked a release of the revision as bad."""

    place: Place
    by: str
    reason: str

    @property
    def said(self) -> str:
        """The mark in words."""
        return f"marked bad in {self.place.name} by {self.by}: {self.reason}"


@dataclass(frozen=True)
class Record:
    """The record of one revision; the newest entries first."""

    revision: str
    stays: tuple[Stay, ...] = ()
    failures: tuple[Failure, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Whether it failed somewhere and was not made to work there since, or is marked as bad."""
        return bool(self.failures or self.marks)

    def elsewhere(self, environment: int) -> Record:
        """The same without the entries of one environment (its primary key)."""
        return Record(
            self.revision,
            tuple(one for one in self.stays if one.place.pk != environment),
            tuple(one for one in self.failures if one.place.pk != environment),
            tuple(one for one in self.marks if one.place.pk != environment),
        )

    @property
    def has_run_outside_production(self) -> bool:
        """Whether it was ever deployed with success to an environment that is not production."""
        return any(not stay.place.is_production for stay in self.stays)

    @property
    def past(self) -> tuple[Stay, ...]:
        """The newest stays that are over, one of each environment where it is not again."""
        over = {stay.place: stay for stay in reversed(self.stays)}
        return tuple(stay for stay in self.stays if stay.until and over[stay.place] is stay)

    @property
    def present(self) -> tuple[Stay, ...]:
        """Where it is the one deployed last."""
        return tuple(stay for stay in self.stays if stay.until is None)


def records(project: Project, revisions: Collection[str]) -> dict[str, Record]:
    """The record of each revision (full hashes). Two queries."""
    wanted = sorted(set(revisions))
    deploys, marks = _by_revision(_deploys(project, wanted)), _by_revision(_marks(project, wanted))
    return {
        sha: Record(sha, _stays(deploys[sha]), _failures(deploys[sha]), _marked(marks[sha])) for sha in wanted
    }


def record_of(environment: Environment, revision: str) -> Record:
    """The record of one revision."""
    return records(environment.project, [revision])[revision]


def of_running(project: Project, running: Mapping[int, str]) -> dict[int, Record]:
    """The record elsewhere of what runs in each environment. `running`: revision by the environment's primary key."""
    found = records(project, running.values())
    return {pk: found[sha].elsewhere(pk) for pk, sha in running.items()}


def tried_first(environment: Environment) -> str:
    """Where revisions are tried before they go to this production environment: names of the project's other environments that
    are not production and to which something was deployed. Empty for other environments, and where there are none. One query."""
    if not environment.is_production:
        return ""
    used = Deploy.objects.filter(environment=OuterRef("pk"), state=State.SUCCEEDED)
    rows = Environment.objects.current().filter(project=environment.project_id, is_production=False)
    rows = rows.filter(Exists(used))
    return ", ".join(rows.order_by("order", "slug").values_list("name", flat=True))


def _place(row: Mapping[str, Any]) -> Place:
    return Place(*(row[column] for column in _PLACE))


_PLACE = ("environment_id", "environment__slug", "environment__name", "environment__is_production")


def _deploys(project: Project, revisions: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Succeeded and failed deploys, the newest first, each with the time when another revision took its place (`until`)."""
    later = Deploy.objects.filter(
        environment=OuterRef("environment"), state=State.SUCCEEDED, number__gt=OuterRef("number")
    ).exclude(revision=OuterRef("revision"))
    ended = Q(state=State.SUCCEEDED) | Q(state__in=_FAILURES, release__isnull=False)
    rows = Deploy.objects.filter(
        ended, current_environments(), environment__project=project, revision__in=revisions
    )
    ends = later.order_by("number").values(at=Coalesce("ended_at", "created_at"))
    rows = rows.order_by("-number").annotate(until=Subquery(ends[:1]), at=Coalesce("ended_at", "created_at"))
    columns = ("revision", *_PLACE, "number", "kind", "state", "at", "result", "until")
    return rows.values(*columns)[:MOST_DEPLOYS]


def _marks(project: Project, revisions: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Releases that are marked as bad, unless a newer one of the same revision was verified there without a mark."""
    newer = Release.objects.filter(
        environment=OuterRef("environment"), revision=OuterRef("revision"), pk__gt=OuterRef("pk"),
        verified_at__isnull=False, marked_bad_by="",
    )  # fmt: skip
    rows = Release.objects.filter(
        current_environments(), environment__project=project, revision__in=revisions
    )
    bad = rows.exclude(marked_bad_by="")
    columns = ("revision", *_PLACE, "marked_bad_by", "bad_reason")
    return bad.exclude(Exists(newer)).order_by("-pk").values(*columns)[:MOST_DEPLOYS]


def _by_revision(rows: Iterable[dict[str, Any]]) -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["revision"]].append(row)
    return found


def _stays(rows: Sequence[dict[str, Any]]) -> tuple[Stay, ...]:
    """One stay for all deploys in a row; it begins with the first of them."""
    found: dict[tuple[int, datetime | None], Stay] = {}
    for row in rows:
        if row["state"] == State.SUCCEEDED:
            key = (row["environment_id"], row["until"])
            found[key] = Stay(_place(row), row["number"], row["at"], row["until"])
    return tuple(found.values())


def _failures(rows: Sequence[dict[str, Any]]) -> tuple[Failure, ...]:
    newest: dict[int, dict[str, Any]] = {}
    for row in rows:
        # That a rollback fails says nothing about the revision: it worked before.
        if row["kind"] != Deploy.Kind.ROLLBACK or row["state"] == State.SUCCEEDED:
            newest.setdefault(row["environment_id"], row)
    return tuple(
        Failure(_place(row), row["number"], _short(row["result"]), row["at"])
        for row in newest.values()
        if row["state"] in _FAILURES
    )


def _marked(rows: Sequence[dict[str, Any]]) -> tuple[Mark, ...]:
    marks: dict[int, Mark] = {}
    for row in rows:
        place = _place(row)
        marks.setdefault(place.pk, Mark(place, row["marked_bad_by"], row["bad_reason"]))
    return tuple(marks.values())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1].rstrip()}…"
