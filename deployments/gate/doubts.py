"""What speaks against deploying a revision: its record. Whoever deploys it nevertheless says so once."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Refused
from deployments.gate import marking
from deployments.records import Mark, Record, record_of, tried_first
from projects.models import Environment


def doubts(environment: Environment, revision: str, *, seen: int = 0) -> tuple[str, ...]:
    """Sentences about marks and failures of the revision in any environment of the project and, for production, that it never
    ran where the project tries its revisions first. `seen`: number of a deploy whose failure the person has before their eyes."""
    record = record_of(environment, revision)
    return doubts_of(environment, record, tried_first(environment), seen=seen)


def doubts_of(environment: Environment, record: Record, tried: str, *, seen: int = 0) -> tuple[str, ...]:
    """The same of a record that is known. `tried`: as `records.tried_first` says."""
    told = [_of_mark(environment, record, mark) for mark in record.marks]
    told += [failure.said for failure in record.failures if failure.number != seen]
    has_run = record.has_run_outside_production or any(
        stay.place.pk == environment.pk for stay in record.stays
    )
    if tried and not has_run:
        told.append(f"It never ran in {tried}.")
    return tuple(told)


def _of_mark(environment: Environment, record: Record, mark: Mark) -> str:
    where = "" if mark.place.pk == environment.pk else f" in {mark.place.name}"
    return marking.words(mark.by, record.revision, mark.reason, where)


def refusal(found: Sequence[str]) -> Refused:
    """The error for a request that does not confirm them."""
    return Refused(
        f"{' '.join(map(_ended, found))} Nothing was started.",
        hint="Confirm that it is to be deployed all the same: the box on the page, --although-bad on the command line.",
        code="bad-release",
    )


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "…")) else f"{sentence}."
