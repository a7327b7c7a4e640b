"""Reasons in its record against deploying a revision. A person who deploys it nevertheless confirms that once."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Refused
from deployments.gate import marking
from deployments.records import Mark, Record, record_of
from projects.models import Environment


def doubts(
    environment: Environment, revision: str, *, seen: int = 0, failures: bool = True
) -> tuple[str, ...]:
    """Sentences about marks and failures of the revision in any environment of the project. `seen`: number of a deploy whose
    failure the person has before their eyes. `failures`: whether these count, too; a script may repeat what failed, because it
    cannot be asked."""
    return doubts_of(environment, record_of(environment, revision), seen=seen, failures=failures)


def doubts_of(
    environment: Environment, record: Record, *, seen: int = 0, failures: bool = True
) -> tuple[str, ...]:
    """The same of a record that is known."""
    told = [_of_mark(environment, record, mark) for mark in record.marks]
    failed = record.failures if failures else ()
    return (*told, *(failure.said for failure in failed if failure.number != seen))


def untried(environment: Environment, record: Record, tried: str) -> str:
    """That a revision for production never ran where the project tries its revisions first; empty when it did. It is told, and
    nobody is asked. `tried`: as `records.tried_first` says."""
    ran_here = any(stay.place.pk == environment.pk for stay in record.stays)
    return "" if not tried or ran_here or record.has_run_outside_production else f"It never ran in {tried}."


def _of_mark(environment: Environment, record: Record, mark: Mark) -> str:
    where = "" if mark.place.pk == environment.pk else f" in {mark.place.name}"
    return marking.words(mark.by, record.revision, mark.reason, where)


def told(found: Sequence[str]) -> str:
    """All of them in whole sentences."""
    return " ".join(one if one.endswith((".", "…")) else f"{one}." for one in found)


def refusal(found: Sequence[str]) -> Refused:
    """The error for a request that does not confirm them."""
    return Refused(
        f"{told(found)} Nothing was started.",
        hint="Confirm that it is to be deployed all the same: the box on the page, --although-bad on the command line.",
        code="bad-release",
    )
