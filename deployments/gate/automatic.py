"""Deploys green builds by themselves, where an environment has a rule for it (the policy `auto_deploy`: a pattern of branches).

A tick looks for such builds, and a job decides on the newest one, once. The rule asks at the gate on behalf of nobody. What
people did later than the build stays: a rollback, for example, until a newer build is green.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from django.db import transaction
from django.db.models import Min, Q, QuerySet

from audit.actors import SYSTEM, Actor
from builds.models import Build
from core.errors import Refused
from core.jobs import enqueue, slot
from core.redactor import redact_text
from deployments.branches import behind
from deployments.gate import marking, requests, revisions, secret_pins
from deployments.gate.life import LIFE
from deployments.models import AutomaticChoice, BranchState, Deploy
from projects.leaving.locking import lock_environment
from projects.models import Environment
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State

LOOK_SECONDS = 10
LOOKED_AT = 50  # builds of a project, the newest


def rule_of(environment: Environment) -> Actor:
    """The actor of an environment's automatic deploys."""
    text = f"rule: {environment.slug} deploys {environment.auto_deploy}"
    return Actor(kind=SYSTEM, id=f"rule-{environment.pk}", text=text)


def look() -> None:
    """Tick: enqueues a job for each environment whose rule has a green build to decide on."""
    rules = Environment.objects.current().filter(policies__has_key="auto_deploy")
    for environment in rules.select_related("project"):
        if candidate(environment) is not None or outdated(environment):
            job_id = f"green-{environment.pk}-{slot(LOOK_SECONDS)}"
            enqueue("deployments.jobs.deploy_green", environment.pk, queue="short", job_id=job_id)


def decide(environment_id: int) -> None:
    """Decides on the newest green build of the rule's branches, if that was not done yet. Idempotent, also with others at the
    same time. Raises ExternalError when Git does not answer; the next tick asks again then."""
    rows = Environment.objects.current().select_related("project", "cluster")
    environment = rows.filter(pk=environment_id).first()
    if environment is None:
        return
    build = candidate(environment)
    if build is not None:
        try:
            ask(environment, build)
        except Refused as refusal:
            note(environment, build, why_not=refusal.message)
    for deploy in outdated(environment):
        supersede(deploy)


def candidate(environment: Environment) -> Build | None:
    """The green build that the rule is to decide on: the newest of its branches since the rule is in force. None when there
    is none, or it was decided on."""
    if not environment.auto_deploy or environment.auto_deploy_since is None:
        return None
    green = Build.objects.filter(
        project=environment.project, state=State.SUCCEEDED, ended_at__gt=environment.auto_deploy_since
    )
    meant = [build for build in green.order_by("-number")[:LOOKED_AT] if is_meant(environment, build)]
    first = first_builds(environment, [build.revision for build in meant])
    newest = max(meant, key=lambda build: (first[build.revision], build.number), default=None)
    if newest is None or AutomaticChoice.objects.filter(environment=environment, build=newest).exists():
        return None
    return newest


def first_builds(environment: Environment, shas: Sequence[str]) -> dict[str, int]:
    """The number of the first build of each revision: a later rebuild makes no revision newer."""
    builds = Build.objects.filter(project=environment.project, revision__in=shas).order_by()
    return dict(builds.values_list("revision").annotate(first=Min("number")))


def is_meant(environment: Environment, build: Build) -> bool:
    """Whether a build's branch fits the rule. A build without a branch belongs to each one that has its revision."""
    if build.branch:
        return fnmatchcase(build.branch, environment.auto_deploy)
    states = BranchState.objects.filter(project=environment.project)
    return any(
        behind(state, build.revision) is not None
        for state in states
        if fnmatchcase(state.branch, environment.auto_deploy)
    )


def ask(environment: Environment, build: Build) -> None:
    """Asks the gate for the deploy of a build, or notes why not. Raises Refused (unknown-revision,
    archived), ExternalError."""
    rule, key = rule_of(environment), f"build-{build.number}"
    if known := requests.by_key(rule, key):  # an earlier try ended before its note
        return note(environment, build, deploy=known)
    if reason := why_not(environment, build):
        return note(environment, build, why_not=reason)
    commit = revisions.resolve(environment.project, build.revision)
    if build.branch and not revisions.is_on(environment.project, build.branch, build.revision):
        gone = (
            f"The branch {build.branch} does not have {build.short} any more: it was moved or deleted since."
        )
        return note(environment, build, why_not=gone)
    order = requests.Order(
        commit, build.revision, f"Build #{build.number} succeeded.", key,
        secret_versions=secret_pins.pinned(environment, None),
    )  # fmt: skip
    with transaction.atomic():
        # The lock keeps requests of people away between the last look at them and this one.
        lock_environment(environment)
        if reason := why_not(environment, build):
            return note(environment, build, why_not=reason)
        note(environment, build, deploy=requests.open_deploy(rule, environment, order).deploy)
    return None


def note(environment: Environment, build: Build, *, deploy: Deploy | None = None, why_not: str = "") -> None:
    """Keeps what was decided on a build. The first decision stays."""
    AutomaticChoice.objects.get_or_create(
        environment=environment,
        build=build,
        defaults={"deploy": deploy, "sentence": redact_text(why_not)[:500]},
    )


def why_not(environment: Environment, build: Build) -> str:
    """Why a green build is not deployed by itself, in a sentence; empty when it is."""
    before = Deploy.objects.filter(environment=environment).order_by("-number")
    same = before.filter(revision=build.revision).first()
    if same is not None:
        return f"{build.short} was asked for here before, by {same.actor_text} (deploy #{same.number})."
    later = by_people(environment).filter(created_at__gte=build.ended_at).first()
    if later is not None:
        return f"{later.actor_text} asked for deploy #{later.number} after the build had succeeded."
    if bad := marking.warning(marking.bad_release_of(environment, build.revision)):
        return bad
    last = before.exclude(kind=Deploy.Kind.ROLLBACK).first()
    if last is not None and is_older(environment, build, last.revision):
        return f"{build.short} is older than {last.short}, which was asked for with deploy #{last.number}."
    return ""


def by_people(environment: Environment) -> QuerySet[Deploy]:
    """The deploys that people asked for (by the page, the command line or a token), the newest first: neither those of a rule
    nor rollbacks that followed a failure by themselves."""
    by_itself = Q(actor_kind=SYSTEM) & (Q(actor_id__startswith="rule-") | Q(undoes__isnull=False))
    return Deploy.objects.filter(environment=environment).exclude(by_itself).order_by("-number")


def is_older(environment: Environment, build: Build, revision: str) -> bool:
    """Whether a build's revision is older than another one: by the branch where both are known, else by their first builds."""
    for state in BranchState.objects.filter(project=environment.project):
        ours, theirs = behind(state, build.revision), behind(state, revision)
        if ours is not None and theirs is not None:
            return ours > theirs
    first = first_builds(environment, [build.revision, revision])
    return revision in first and first[build.revision] < first[revision]


def outdated(environment: Environment) -> list[Deploy]:
    """The rule's deploys that still wait, although it asked for a newer one."""
    own = Deploy.objects.filter(
        environment=environment, actor_kind=SYSTEM, actor_id=rule_of(environment).id
    ).order_by("-number")
    newest = own.first()
    if newest is None:
        return []
    waiting = own.filter(state=State.QUEUED, started_at=None, number__lt=newest.number)
    return list(waiting.select_related("environment__project"))


@transaction.atomic
def supersede(deploy: Deploy) -> None:
    """Ends a deploy of the rule that has not begun, because a newer one was asked for."""
    newer = (
        Deploy.objects.filter(
            environment=deploy.environment_id,
            actor_kind=SYSTEM,
            actor_id=deploy.actor_id,
            number__gt=deploy.number,
        )
        .order_by("-number")
        .first()
    )
    rows = Deploy.objects.filter(pk=deploy.pk, state=State.QUEUED)
    if newer is not None and rows.update(state=State.SUPERSEDED) == 1:
        said = f"A newer green build took its place before it started: deploy #{newer.number}."
        write_end(LIFE, deploy, End(State.SUPERSEDED, said))


def last_choice(environment: Environment) -> AutomaticChoice | None:
    """What the rule did last, for pages."""
    return AutomaticChoice.objects.filter(environment=environment).select_related("build", "deploy").first()
