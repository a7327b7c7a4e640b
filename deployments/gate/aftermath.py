"""Tells people of workloads that fail between deploys: soon after a deploy with that deploy, later as an alarm.

The rows are `clusters.models.Trouble`; each read of a cluster writes them. A tick looks here for those that are to be
told. All is decided from rows and written in one transaction, so that two schedulers tell nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clusters.models import LiveState, Trouble
from clusters.troubles import LASTING
from deployments.gate.announcements import url_of
from deployments.models import Deploy, ObjectState
from engine.types import Progress
from notify.outbox import slack_note
from projects.current import current_environments
from projects.models import Environment
from runs.models import ACTIVE, OPEN, State

# A read may have begun before a deploy failed, and the next one comes half a minute later.
_TOLD_BY_FAILURE = timedelta(minutes=2)
NEAR = 20  # alarms of all environments that came just after one stand on its page, too
_TO_TELL = Q(told_at=None, ended_at=None, well_since=None)
_TOLD = Q(told_at__isnull=False, over_told_at=None)


def tell_troubles() -> None:
    """Tick: writes the messages that are due about troubles of all current environments. Idempotent."""
    due = Trouble.objects.filter(current_environments(), _TO_TELL | (_TOLD & Q(ended_at__isnull=False)))
    for pk in due.order_by("environment_id").values_list("environment_id", flat=True).distinct():
        tell_environment(pk)


@transaction.atomic
def tell_environment(environment_id: int) -> None:
    """Writes the messages that are due about the troubles of one environment."""
    # The lock keeps a second scheduler, and a read of the cluster, away until the messages are written.
    if not LiveState.objects.select_for_update().filter(environment=environment_id).exists():
        return
    environment = Environment.objects.select_related("project").get(pk=environment_id)
    deploys = Deploy.objects.filter(environment=environment)
    if not deploys.filter(state__in=ACTIVE).exists():  # while one runs, that deploy is the judge
        last = deploys.exclude(state__in=OPEN).order_by("-ended_at").first()
        found = list(Trouble.objects.filter(_TO_TELL, environment=environment))
        after = [one for one in found if last and is_after(one, last, environment.watch_seconds)]
        _tell(environment, after, last)
        _tell(environment, [one for one in found if one not in after and is_alarm(one, last)], None)
    _tell_over(environment)


def is_after(trouble: Trouble, last: Deploy, watch_seconds: int) -> bool:
    """Whether a trouble is to be told with the deploy that ended last: it succeeded with that workload, and the trouble
    began within the time of the watch. The second one of the same workload is an alarm."""
    if last.state != State.SUCCEEDED or last.ended_at is None or not watch_seconds:
        return False
    if trouble.seen_at < last.ended_at or trouble.began_at > last.ended_at + timedelta(seconds=watch_seconds):
        return False
    if Trouble.objects.filter(run_id=last.run_id, ref=trouble.ref).exists():
        return False
    return ObjectState.objects.filter(run_id=last.run_id, ref=trouble.ref).exists()


def is_alarm(trouble: Trouble, last: Deploy | None) -> bool:
    """Whether a trouble has lasted long enough, since the last deploy ended, and was not told as that deploy's failure."""
    began, ended = trouble.began_at, last.ended_at if last else None
    if last is not None and ended is not None and last.state != State.SUCCEEDED:
        bad = (Progress.FAILED, Progress.TIMED_OUT)
        failed = ObjectState.objects.filter(run_id=last.run_id, ref=trouble.ref, progress__in=bad)
        if began <= ended + _TOLD_BY_FAILURE and failed.exists():
            return False
    return trouble.seen_at - (max(began, ended) if ended else began) >= LASTING


def _tell(environment: Environment, troubles: Sequence[Trouble], deploy: Deploy | None) -> None:
    """One message about these troubles: in the thread of `deploy`, or as an alarm with a thread of its own."""
    if not troubles:
        return
    batch = troubles[0].pk
    Trouble.objects.filter(pk__in=[one.pk for one in troubles]).update(
        told_at=timezone.now(), batch=batch, run_id=deploy.run_id if deploy else None
    )
    said = [{"name": one.name, "sentence": one.sentence} for one in troubles]
    payload = _facts(environment, deploy, min(one.began_at for one in troubles), batch)
    _send(environment, batch, deploy, {**payload, "about": "began", "troubles": said})


def _tell_over(environment: Environment) -> None:
    """One message for each batch that is over, once all its troubles are."""
    told = Trouble.objects.filter(_TOLD, environment=environment)
    still = set(told.filter(ended_at=None).values_list("batch", flat=True))
    batches: dict[int | None, list[Trouble]] = {}
    for one in told.exclude(ended_at=None):
        batches.setdefault(one.batch, []).append(one)
    for batch, rows in batches.items():
        if batch is None or batch in still:
            continue
        Trouble.objects.filter(pk__in=[one.pk for one in rows]).update(over_told_at=timezone.now())
        deploy = Deploy.objects.filter(run_id=rows[0].run_id).first() if rows[0].run_id else None
        payload = _facts(environment, deploy, max(one.ended_at for one in rows if one.ended_at), batch)
        _send(environment, batch, deploy, {**payload, "about": "over", "names": [one.name for one in rows]})


def _facts(environment: Environment, deploy: Deploy | None, since: datetime, batch: int) -> dict[str, object]:
    """What each message says. Without a deploy it leads to the page of alarms that begins with this one, which stays there
    however many follow."""
    page = f"{settings.BASE_URL}/projects/{environment.project.slug}/{environment.slug}/alarms/"
    page += f"?before={batch + NEAR}#alarm-{batch}"
    return {
        "project": environment.project.name,
        "environment": environment.name,
        "number": deploy.number if deploy else None,
        "url": url_of(deploy) if deploy else page,
        "since": int(since.timestamp()),
        "clock": f"{since:%H:%M} UTC",
    }


def _send(environment: Environment, batch: int, deploy: Deploy | None, payload: dict[str, object]) -> None:
    thread = f"deploy-{deploy.number}" if deploy else f"trouble-{batch}"
    slack_note(environment.channel, key=f"trouble-{batch}-{payload['about']}", thread=thread, payload=payload)
