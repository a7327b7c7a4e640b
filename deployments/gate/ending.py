"""What goes with the end of a deploy, in the transaction that ends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings

from deployments.gate import undoing
from deployments.gate.announcements import tell_ended
from deployments.models import Deploy, Release
from engine.types import ObjectStatus
from runs.life.ending import kept
from runs.life.hooks import End
from runs.models import State, Step, StepState


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


def with_the_end(deploy: Deploy, end: End) -> None:
    """The last step, the release, the rollback that follows, and the outbox: whatever ends a deploy, none of it is lost."""
    if deploy.started_at is not None:
        close_notify(deploy)
    held_back = Deploy.objects.filter(pk=deploy.pk, is_held_back=True).exists()
    if end.state == State.SUCCEEDED and deploy.release_id and not held_back:
        Release.objects.filter(pk=deploy.release_id, verified_at=None).update(verified_at=deploy.ended_at)
    tell_ended(deploy, undoing.follower(deploy) or undoing.roll_back_after_failure(deploy))


def close_notify(deploy: Deploy) -> None:
    """The step that tells others has succeeded with the end, of which it tells."""
    channel = deploy.environment.channel
    told = (
        f"Slack: {channel}"
        if channel and settings.SLACK_BOT_TOKEN
        else "nobody to tell: no Slack channel is set"
    )
    Step.objects.filter(run_id=deploy.run_id, name="notify").update(
        state=StepState.SUCCEEDED, started_at=deploy.ended_at, ended_at=deploy.ended_at, summary=told
    )
