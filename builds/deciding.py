"""Decides what follows from a delivery in each project of its repository. The job of the queue `git`, and replays.

What the push itself tells comes first (`builds/rules.py`). Where that wants a build, Git is asked whether the branch has the
commit: a signature proves who sent a delivery, not that the branch was not moved since. Git that does not answer puts the
decision off. All that follows from a delivery is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from adapters.errors import ExternalError
from adapters.git.repository import Commit
from audit.actors import SYSTEM, Actor
from builds.concerned import SEEN, nobody, projects_of
from builds.judging import judge_push, rules_of
from builds.models import Build, Decision, Delivery, SeenBranch
from builds.pushes import Push, push_of
from builds.requests import Order, request_build
from core import changes
from core.errors import Refused
from core.jobs import enqueue, slot
from core.redactor import redact_text
from engine.errors import SlipwayError
from projects.models import Project
from runs.models import OPEN, State

log = structlog.get_logger(__name__)
MOST_TRIES = 12
PER_ROUND = 100
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(seconds=20), timedelta(minutes=10)


@dataclass(frozen=True)
class Verdict:
    """What follows in one project. `commit`: to build, None without a build; `is_head`: the branch or tag leads to it.
    `is_settled`: False where Git could not be asked; `error`: why, where asking again may help."""

    project: Project
    sentence: str
    commit: Commit | None = None
    is_head: bool = False
    is_settled: bool = True
    error: ExternalError | None = None


def decide(delivery_id: int) -> None:
    """Job: decides a waiting delivery. One that was decided meanwhile is left alone. Raises unforeseen errors."""
    delivery = Delivery.objects.filter(pk=delivery_id, state=Delivery.State.WAITING).first()
    if delivery is None:
        return
    if delivery.event not in ("push", SEEN):
        close(delivery, said_of(delivery))
        return
    projects = projects_of(delivery)
    if not projects:
        close(delivery, nobody(delivery))
        return
    try:
        verdicts = [_verdict(project, delivery) for project in projects]
        error = next((one.error for one in verdicts if one.error), None)
        # A project whose address does not answer must not keep back the builds of the others; the look at Git asks for it again.
        if error is not None and not any(one.commit for one in verdicts):
            put_off(delivery, error.message)
        else:
            carry_out(delivery, verdicts)
    except Exception:  # also the end of the job's time: it must not be tried each minute for ever
        put_off(delivery, "An error of the portal; its log has more.")
        raise


def _verdict(project: Project, delivery: Delivery) -> Verdict:
    """The verdict in a project. An error that asking again does not help, or that has lasted, is one, too: a project whose
    credential is refused must not keep back the others of the repository."""
    try:
        return ask_git(project, delivery)
    except SlipwayError as error:
        said = redact_text(f"{error.message} {error.hint}".strip())
        verdict = Verdict(project, said, is_settled=False)
        if isinstance(error, ExternalError) and not error.permanent and delivery.tries + 1 < MOST_TRIES:
            return replace(verdict, error=error)
        return verdict


def said_of(delivery: Delivery) -> str:
    """What follows from an event that is no push."""
    if delivery.event == "ping":
        if delivery.facts.get("sends_pushes") is False:
            return (
                "GitHub reaches the portal, but this webhook sends no pushes: choose the event “push” there."
            )
        return "GitHub reaches the portal: the webhook works."
    if delivery.event == "pull_request":
        return "Pull requests lead to no build; a push to a branch that the rules name does."
    if delivery.event in ("create", "delete"):
        return "A push tells the same; nothing follows from this event."
    return "Nothing follows from this event."


def ask_git(project: Project, delivery: Delivery, *, patience: float | None = None) -> Verdict:
    """The verdict on a delivery in a project. `patience`: the most seconds for Git. Raises ExternalError while Git does not
    answer, CannotDecrypt."""
    age = (timezone.now() - delivery.received_at).total_seconds()
    found = judge_push(project, rules_of(project), pushed(delivery), age=age, patience=patience)
    return Verdict(project, found.sentence, found.commit, found.is_head)


def pushed(delivery: Delivery) -> Push:
    """The push that a delivery tells of."""
    return push_of(delivery.ref, delivery.before, delivery.sender, delivery.facts)


def carry_out(delivery: Delivery, verdicts: Sequence[Verdict]) -> bool:
    """Writes the decisions and requests the builds, once. False when the delivery was decided meanwhile."""
    push = pushed(delivery)
    settled = all(verdict.is_settled for verdict in verdicts)
    state = Delivery.State.DECIDED if settled else Delivery.State.FAILED
    with transaction.atomic():
        waiting = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING)
        if waiting.update(state=state, decided_at=timezone.now(), sentence="") != 1:
            return False
        for verdict in verdicts:
            follow(delivery, push, verdict, sender(push))
        # After all builds: two deliveries at once take the locks of the counter and of the heads in the same order.
        for verdict in verdicts:
            if verdict.is_settled:
                note_head(delivery, verdict.project, push)
    return True


def sender(push: Push) -> Actor:
    """The actor of builds that follow from a push: the portal, on behalf of who pushed."""
    return Actor(kind=SYSTEM, id="", text=f"push by {push.sender}" if push.sender else "push")


def follow(
    delivery: Delivery, push: Push, verdict: Verdict, actor: Actor, *, asked: bool = False
) -> Decision:
    """Writes one decision, with its build. `asked`: a person replays it, so it is built whatever was built or pushed since. Call
    it in a transaction."""
    build, sentence = None, verdict.sentence
    if verdict.commit is not None:
        build, sentence = build_of(delivery, push, verdict, actor, asked=asked)
    changes.note_topic(changes.DELIVERIES)
    return Decision.objects.create(
        delivery=delivery,
        project=verdict.project,
        build=build,
        verdict=Decision.Verdict.BUILD if build else Decision.Verdict.NO_BUILD,
        sentence=sentence[:500],
    )


def build_of(
    delivery: Delivery, push: Push, verdict: Verdict, actor: Actor, *, asked: bool
) -> tuple[Build | None, str]:
    """The build of a verdict, requested or found, and the sentence. None where it is refused."""
    commit = verdict.commit
    assert commit is not None  # noqa: S101  the caller looked
    if not asked and (known := built_before(verdict, commit, push)):
        return known, f"Build {known.number} {'builds' if known.is_open else 'has built'} {commit.short}."
    by_push = Build.Cause.CATCH_UP if delivery.event == SEEN else Build.Cause.PUSH
    order = Order(
        commit=commit,
        branch=push.branch,
        git_tags=(push.tag,) if push.tag else (),
        cause=Build.Cause.PERSON if asked else by_push,
        delivery=delivery,
    )
    try:
        answer = request_build(actor, verdict.project, order)
    except Refused as refusal:
        return None, refusal.message
    if not answer.created:
        said = f"Build {answer.build.number} builds {commit.short} already; its images get the tag of the {push.name}, too."
        return answer.build, said
    return answer.build, verdict.sentence


def built_before(verdict: Verdict, commit: Commit, push: Push) -> Build | None:
    """A build of the commit that is open or succeeded, for this branch or tag. One that ended does not count where the branch
    came back to the commit from another one: then its images are to get the branch's tags again."""
    builds = Build.objects.filter(project=verdict.project)
    rows = builds.filter(revision=commit.sha).filter(
        Q(state__in=OPEN, cancel_requested_at=None) | Q(state=State.SUCCEEDED)
    )
    for build in rows.order_by("-number")[:20]:
        if push.ref in build.refs or push.ref in build.tagged_for:
            others = builds.filter(branch=push.branch, number__gt=build.number).exclude(revision=commit.sha)
            came_back = verdict.is_head and push.branch and not build.is_open and others.exists()
            return None if came_back else build
    return None


def note_head(delivery: Delivery, project: Project, push: Push) -> None:
    """Notes up to where the branch or tag was decided, so that the look at Git does not take the push for a missed one. A later
    push that was decided before has noted more."""
    later = Decision.objects.filter(
        project=project, delivery__pk__gt=delivery.pk, delivery__ref=delivery.ref,
        delivery__state=Delivery.State.DECIDED,
    )  # fmt: skip
    if later.exists():
        return
    if push.is_deleted:
        SeenBranch.objects.filter(project=project, ref=push.ref).delete()
    elif push.commit is not None and (push.branch or push.tag):
        SeenBranch.objects.update_or_create(project=project, ref=push.ref, defaults={"head": push.commit.sha})


@transaction.atomic
def close(delivery: Delivery, sentence: str) -> None:
    """Ends a delivery from which nothing follows in any project."""
    changes.note_topic(changes.DELIVERIES)
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING).update(
        state=Delivery.State.DECIDED, decided_at=timezone.now(), sentence=sentence[:500]
    )


@transaction.atomic
def put_off(delivery: Delivery, why: str) -> None:
    """Notes why a delivery cannot be decided now. The tick asks again, each time after a longer pause; after the last try it has
    failed."""
    is_last = delivery.tries + 1 >= MOST_TRIES
    changes.note_topic(changes.DELIVERIES)
    Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.WAITING).update(
        state=Delivery.State.FAILED if is_last else Delivery.State.WAITING,
        tries=F("tries") + 1,
        decided_at=timezone.now(),
        sentence=redact_text(why)[:500],
    )
    log.info("delivery put off", delivery=delivery.delivery_id, error=why, tries=delivery.tries + 1)


def work_on_waiting() -> None:
    """Tick: asks again for deliveries whose job was lost or that were put off, the oldest first."""
    for pk in islice(due(timezone.now()), PER_ROUND):
        job_id = f"delivery-{pk}-again-{slot(60)}"
        enqueue("builds.deciding.decide", pk, queue="git", job_id=job_id)


def due(now: datetime) -> Iterator[int]:
    """The waiting deliveries whose pause is over, the oldest first."""
    waiting = Delivery.objects.filter(state=Delivery.State.WAITING, received_at__lt=now - SHORTEST_PAUSE)
    rows = waiting.order_by("pk").values_list("pk", "tries", "decided_at")
    for pk, tries, tried_at in rows.iterator():
        if tried_at is None or now - tried_at >= min(SHORTEST_PAUSE * 2**tries, LONGEST_PAUSE):
            yield pk
