"""How a deploy ends: one transaction that says so everywhere, and wakes whoever waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.actors import SYSTEM_ACTOR
from audit.record import record
from core.redactor import redact_nested
from core.storable import storable
from deployments.gate import queue, turns, undoing
from deployments.gate.announcements import tell_ended
from deployments.models import Deploy, Release
from engine.types import ObjectStatus
from runs import steps
from runs.bell import CHANGED, Bell
from runs.fence import Fence
from runs.models import ACTIVE, ENDS, State, Step, StepState

STEP_STATE = {
    State.SUCCEEDED: StepState.SUCCEEDED,
    State.FAILED: StepState.FAILED,
    State.CANCELLED: StepState.CANCELLED,
    State.TIMED_OUT: StepState.TIMED_OUT,
}


@dataclass(frozen=True)
class End:
    """How it ended: state, one sentence, what to do, what the cluster showed. No secrets."""

    state: State
    result: str
    hint: str = ""
    evidence: tuple[dict[str, Any], ...] = ()


def evidence_of(status: ObjectStatus) -> dict[str, Any]:
    """A failed object as the deploy's row keeps it, redacted."""
    shown = {
        "ref": str(status.ref),
        "sentence": status.sentence,
        "hint": status.hint,
        "progress": status.progress.value,
    }
    if status.evidence is not None:
        shown |= asdict(status.evidence)
    found: dict[str, Any] = kept(shown)
    return found


def kept(value: Any) -> Any:
    """`value` (as JSON knows it) as it may be kept: without secret values, in characters that every database takes."""
    return storable(redact_nested(value))


def end_fenced(fence: Fence, end: End, *, warnings: Sequence[str] = ()) -> None:
    """Ends the run of a worker, with all that it was warned of. Raises FenceLost when it is no longer his to end."""
    with fence.held(warnings=kept(list(dict.fromkeys(warnings)))):
        write_end(Deploy.objects.select_related("environment__project").get(run_id=fence.run_id), end)


def end_unstarted(deploy: Deploy, state: State, result: str) -> None:
    """Ends a deploy that no worker has. Call it in a transaction that made sure of that."""
    write_end(deploy, End(state, result))


def end_given_up(deploy: Deploy, end: End) -> bool:
    """For the reconciler: ends a deploy whose worker is gone or does not stop. False when it ended by itself meanwhile.

    The attempt is raised with it, so that a worker which still lives can write nothing more.
    """
    with transaction.atomic():
        rows = Deploy.objects.filter(pk=deploy.pk, attempt=deploy.attempt, state__in=ACTIVE)
        if rows.update(attempt=deploy.attempt + 1) != 1:
            return False
        write_end(deploy, end)
    return True


def write_end(deploy: Deploy, end: End) -> None:
    """State, steps, release, audit, the rollback that follows, outbox, and the bell for whoever is next. In the caller's
    transaction: whatever ends a deploy, none of this is lost."""
    if end.state not in ENDS:
        raise ValueError(f"{end.state} is no end of a run.")
    now = timezone.now()
    Deploy.objects.filter(pk=deploy.pk).update(
        state=end.state,
        ended_at=now,
        result=kept(end.result)[:500],
        hint=kept(end.hint)[:500],
        evidence=kept(end.evidence),
    )
    if deploy.started_at is not None:
        channel = deploy.environment.channel
        told = (
            f"Slack: {channel}"
            if channel and settings.SLACK_BOT_TOKEN
            else "nobody to tell: no Slack channel is set"
        )
        Step.objects.filter(run_id=deploy.run_id, name="notify").update(
            state=StepState.SUCCEEDED, started_at=now, ended_at=now, summary=told
        )
    steps.close(deploy.run_id, STEP_STATE.get(end.state, StepState.ERRORED))
    deploy.refresh_from_db()
    if end.state == State.SUCCEEDED and deploy.release_id:
        Release.objects.filter(pk=deploy.release_id, verified_at=None).update(verified_at=now)
    record(
        SYSTEM_ACTOR, "deploy.ended", target_kind="deploy", target_id=deploy.number,
        target_text=f"#{deploy.number} {deploy.environment.label} {deploy.short}",
        project=deploy.environment.project.slug, data={"state": end.state.value, "result": deploy.result},
    )  # fmt: skip
    tell_ended(deploy, undoing.follower(deploy) or undoing.roll_back_after_failure(deploy))
    following = turns.next_in_line(deploy.environment_id)
    if following:
        queue.enqueue_deploy(following)
    transaction.on_commit(lambda: Bell(deploy.run_id).ring(CHANGED))
