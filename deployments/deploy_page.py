"""What the page of one deploy shows: data for the templates, made with a constant number of queries."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from django.utils import timezone

from adapters.git import Commit, commit_url
from deployments.models import Deploy, ObjectState
from engine.errors import SlipwayError
from engine.types import ObjectRef
from projects.connections import git_repository
from runs.log import LogLine, chunks_after, lines
from runs.models import ACTIVE, State, Step

MOST_LINES = 3000
HEAD_LINES = 500
MOST_COMMITS = 50
TROUBLE = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)


@dataclass(frozen=True)
class StepView:
    """A step as the stepper shows it."""

    name: str
    state: str
    seconds: float | None
    started_at: datetime | None
    summary: str


@dataclass(frozen=True)
class ObjectView:
    """An object as the table shows it."""

    kind: str
    name: str
    namespace: str
    action: str
    progress: str
    sentence: str


@dataclass(frozen=True)
class Fold:
    """The log's part of one step."""

    step: str
    name: str
    lines: Sequence[Any]
    state: str = ""
    summary: str = ""
    seconds: float | None = None
    open: bool = False


@dataclass(frozen=True)
class Gap:
    """Stands for lines that are not shown."""

    number: int
    text: str
    step: str
    at: datetime | None = None
    level: str = "gap"


@dataclass(frozen=True)
class Page:
    """Everything above the log; the same for the whole page and the fragment that follows the run."""

    deploy: Deploy
    steps: list[StepView]
    changed: list[ObjectView]
    unchanged: list[ObjectView]
    seconds: float | None
    commit: str
    waits_for: Deploy | None
    target: Deploy | None
    trouble: dict[str, Any] | None = field(default=None)
    key: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the page goes on changing."""
        return self.deploy.is_open

    @property
    def label(self) -> str:
        """`#17`."""
        return f"#{self.deploy.number}"

    @property
    def log_title(self) -> str:
        """The log's name, read aloud."""
        return f"Log of deploy {self.deploy.number}"

    @property
    def attempt_text(self) -> str:
        """Shown once a worker was lost."""
        return f"attempt {self.deploy.attempt}"

    @property
    def tone(self) -> str:
        """Of the notice about how it ended."""
        return {State.SUCCEEDED: "passed", State.CANCELLED: "warning"}.get(State(self.deploy.state), "info")

    @property
    def object_count(self) -> int:
        """All objects of the deploy."""
        return len(self.changed) + len(self.unchanged)

    @property
    def confirm_name(self) -> str:
        """What has to be typed before something starts here: production's name, as nobody else reviews."""
        return self.deploy.environment.slug if self.deploy.environment.is_production else ""

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Hidden fields of the forms: a double click is one request."""
        return [("key", self.key)]

    @property
    def again_text(self) -> str:
        """What deploying again does."""
        return (
            f"{self.deploy.short} goes to {self.deploy.environment.name} again, with its manifests and the secrets and "
            "variables as they are now."
        )

    @property
    def again_button(self) -> str:
        """What the button does."""
        return f"Deploy {self.deploy.short} to {self.deploy.environment.slug}"

    @property
    def rollback_text(self) -> str:
        """What rolling back does."""
        if self.target is None:
            return ""
        return (
            f"The objects of deploy #{self.target.number} ({self.target.short} “{self.target.subject}”) are applied again: "
            "the same images by digest, the same versions of the secrets."
        )

    @property
    def rollback_button(self) -> str:
        """What the button does."""
        return f"Roll back to {self.target.short}" if self.target else ""


def page(deploy: Deploy) -> Page:
    """Reads what belongs to a deploy."""
    rows = list(Step.objects.filter(run_id=deploy.run_id))
    objects = [object_view(row) for row in ObjectState.objects.filter(run_id=deploy.run_id).defer("evidence")]
    return Page(
        deploy=deploy,
        steps=[StepView(r.name, r.state, r.seconds, r.started_at, r.summary) for r in rows],
        changed=[
            o
            for o in objects
            if o.action != "unchanged" or o.progress in ("failed", "progressing", "timed_out")
        ],
        unchanged=[
            o
            for o in objects
            if o.action == "unchanged" and o.progress not in ("failed", "progressing", "timed_out")
        ],
        seconds=duration(deploy),
        commit=commit_url(deploy.environment.project.repository_url, deploy.revision),
        waits_for=waits_for(deploy),
        target=rollback_target(deploy),
        trouble=trouble(deploy),
        key=uuid.uuid4().hex,
    )


def duration(deploy: Deploy) -> float | None:
    """Seconds from start to end, or to now."""
    if deploy.started_at is None:
        return None
    return ((deploy.ended_at or timezone.now()) - deploy.started_at).total_seconds()


def object_view(row: ObjectState) -> ObjectView:
    """A row of the table."""
    ref = ObjectRef.parse(row.ref)
    return ObjectView(ref.kind, ref.name, ref.namespace, row.action, row.progress, row.sentence)


def waits_for(deploy: Deploy) -> Deploy | None:
    """Of a queued deploy: the one that runs, or stands right before it in line."""
    if deploy.state != State.QUEUED:
        return None
    others = Deploy.objects.filter(environment_id=deploy.environment_id).defer("evidence", "warnings")
    active = others.filter(state__in=ACTIVE).first()
    return active or others.filter(state=State.QUEUED, number__lt=deploy.number).order_by("-number").first()


def rollback_target(deploy: Deploy) -> Deploy | None:
    """Which deploy's release the page offers to put back.

    After trouble: the newest that succeeded. Of what is live: the one before it with another release. Of an older one
    that succeeded: itself. None while it goes on, or when there is nothing to go back to.
    """
    if deploy.is_open:
        return None
    good = (
        Deploy.objects.filter(
            environment_id=deploy.environment_id, state=State.SUCCEEDED, release__verified_at__isnull=False,
            release__marked_bad_by="",
        ).defer("evidence", "warnings").order_by("-number")
    )  # fmt: skip
    newest = good.first()
    if newest is None or (deploy.state == State.SUCCEEDED and deploy.pk != newest.pk):
        return deploy if newest and deploy.release_id != newest.release_id and deploy in good else None
    if deploy.pk != newest.pk:
        return newest
    return good.filter(number__lt=deploy.number).exclude(release=deploy.release).first()


def trouble(deploy: Deploy) -> dict[str, Any] | None:
    """The failure card's content, or None when nothing is wrong."""
    if deploy.state not in TROUBLE:
        return None
    proofs = [
        {**item, "title": item.get("pod") or item.get("ref")}
        for item in deploy.evidence
        if item.get("pod") or item.get("events") or item.get("logs") or item.get("previous_logs")
    ]
    others = [
        item["sentence"]
        for item in deploy.evidence
        if item.get("sentence") and item["sentence"] not in deploy.result
    ]
    return {
        "tone": deploy.state,
        "sentence": deploy.result,
        "hint": deploy.hint,
        "facts": [("Also", sentence) for sentence in others[:20]],
        "evidence": proofs,
    }


def commits_between(deploy: Deploy) -> list[tuple[Commit, str]]:
    """The commits since what ran before, newest first, with their addresses; from the mirror, without the network."""
    if not deploy.previous_revision or deploy.previous_revision == deploy.revision:
        return []
    try:
        found = git_repository(deploy.environment.project).log(
            deploy.previous_revision, deploy.revision, MOST_COMMITS
        )
    except SlipwayError:
        return []  # the mirror is gone or does not know them any more: the page does not need them
    url = deploy.environment.project.repository_url
    return [(commit, commit_url(url, commit.sha)) for commit in found]


def log_folds(deploy: Deploy, steps: Sequence[StepView]) -> tuple[list[Fold], int]:
    """The log by step, and the number of its last line. A long one is shown with its head and its tail."""
    found: list[Any] = lines(chunks_after(deploy.run_id, 0, limit=100_000))
    last = found[-1].number if found else 0
    if len(found) > MOST_LINES:
        left_out = found[HEAD_LINES : len(found) - (MOST_LINES - HEAD_LINES)]
        gap = Gap(left_out[0].number, f"{len(left_out)} lines are in the download", left_out[0].step)
        found = [*found[:HEAD_LINES], gap, *found[-(MOST_LINES - HEAD_LINES) :]]
    return folds(with_gaps(found), {step.name: step for step in steps}), last


def with_gaps(found: Iterable[Any]) -> list[Any]:
    """Says where the middle of a log that never ended was dropped (runs/journal.py)."""
    shown: list[Any] = []
    for line in found:
        if shown and line.number > shown[-1].number + 1 and shown[-1].level != "gap":
            count = line.number - shown[-1].number - 1
            shown.append(Gap(shown[-1].number + 1, f"{count} lines were not kept", line.step))
        shown.append(line)
    return shown


def folds(found: Sequence[Any], steps: dict[str, StepView] | None = None) -> list[Fold]:
    """Lines grouped by their step, in order. The last fold and every fold in trouble is open."""
    groups = [(name, list(group)) for name, group in groupby(found, key=lambda line: line.step)]
    merged: dict[str, list[Any]] = {}
    for name, group in groups:
        merged.setdefault(name, []).extend(group)
    result = []
    for position, (name, group) in enumerate(merged.items()):
        step = (steps or {}).get(name)
        bad = step is not None and step.state in ("failed", "errored", "timed_out", "running")
        result.append(
            Fold(
                step=name or "start", name=(name or "start").capitalize(), lines=group,
                state=step.state if step else "", summary=step.summary if step else "",
                seconds=step.seconds if step else None, open=bad or position == len(merged) - 1,
            )
        )  # fmt: skip
    return result


def as_text(found: Iterable[LogLine]) -> Iterable[str]:
    """The log as lines of a text file."""
    for line in found:
        yield f"{line.number:>6} {line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z {line.step:<9} {line.level:<7} {line.text}\n"
