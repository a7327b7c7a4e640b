"""Writes that belong to the end of a deploy, in the transaction that ends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings

from deployments.gate import undoing
from deployments.gate.announcements import tell_ended
from deployments.models import Deploy, Release
from engine.types import ObjectStatus
from runs.life.ending import as_stored
from runs.life.hooks import End
from runs.models import State, Step, StepState
from secrets_ui.known.uses import note_served


def evidence_of(status: ObjectStatus) -> dict[str, Any]:
    """A failed object as JSON for the deploy's row, redacted."""
    shown = {
        "ref": str(status.ref),
        "sentence": status.sentence,
        "hint": status.hint,
        "progress": status.progress.value,
    }
    if status.evidence is not None:
        shown |= asdict(status.evidence)
    found: dict[str, Any] = as_stored(shown)
    return found


def on_end(deploy: Deploy, end: End) -> None:
    """Hook `on_end`: closes the step `notify`, marks a succeeded release as verified, queues the automatic rollback and the
    Slack message. All in the ending transaction, so a crash cannot lose any of it."""
    if deploy.started_at is not None:
        close_notify(deploy)
    held_back = Deploy.objects.filter(pk=deploy.pk, is_held_back=True).exists()
    if end.state == State.SUCCEEDED and deploy.release_id and not held_back:
        Release.objects.filter(pk=deploy.release_id, verified_at=None).update(verified_at=deploy.ended_at)
        note_served(deploy.number)
    tell_ended(deploy, undoing.follower(deploy) or undoing.roll_back_after_failure(deploy))


def close_notify(deploy: Deploy) -> None:
    """Ends the step `notify`: its outbox row is written in this transaction."""
    channel = deploy.environment.channel
    told = (
        f"Slack: {channel}"
        if channel and settings.SLACK_BOT_TOKEN
        else "no message sent: no Slack channel is set"
    )
    Step.objects.filter(run_id=deploy.run_id, name="notify").update(
        state=StepState.SUCCEEDED, started_at=deploy.ended_at, ended_at=deploy.ended_at, summary=told
    )
