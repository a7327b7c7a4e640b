"""Deploys green builds by themselves, where an environment has a rule for it (the policy `auto_deploy`: a pattern of branches).

A tick looks for such builds, and a job decides on the newest one, once. The rule asks at the gate on behalf of nobody. What
people did later than the build stays: a rollback, for example, until a newer build is green.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta
from fnmatch import fnmatchcase

from django.db import transaction
from django.db.models import Min, Q, QuerySet
from django.utils import timezone

from audit.actors import SYSTEM, Actor
from builds.models import Build
from core.errors import Refused
from core.jobs import enqueue, slot
from core.redactor import redact_text
from deployments.branches import behind
from deployments.gate import requests, revisions, secret_pins
from deployments.gate.doubts import doubts, told
from deployments.gate.life import LIFE
from deployments.models import AutomaticChoice, BranchState, Deploy
from projects.leaving.locking import lock_environment
from projects.models import Environment
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State

LOOK_SECONDS = 10
LOOKED_AT = 50  # builds of a project, the newest
KEPT, AT_ONCE = timedelta(days=90), 1000


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
    builds = Build.objects.filter(project=environment.project)
    green = builds.filter(state=State.SUCCEEDED, ended_at__gt=environment.auto_deploy_since)
    meant = of_rule(environment, green.order_by("-number")[:LOOKED_AT])
    first = first_builds(environment, {build.revision for build in meant})
    newest = max(meant, key=lambda build: (first[build.revision], build.number), default=None)
    if newest is None or AutomaticChoice.objects.filter(environment=environment, build=newest).exists():
        return None
    return newest


def of_rule(environment: Environment, builds: Iterable[Build]) -> list[Build]:
    """Those of the builds that are of the rule's branches. One of no known branch (another tool reported it) is of those branches
    that have its revision among their newest commits. Two queries at most."""
    found = list(builds)
    on_branch = set[str]()
    if not all(build.branches for build in found):
        on_branch = newest_commits(environment)
    return [
        build
        for build in found
        if fitting(environment, build) or (not build.branches and build.revision in on_branch)
    ]


def fitting(environment: Environment, build: Build) -> list[str]:
    """The branches of a build that fit the rule."""
    return [name for name in build.branches if fnmatchcase(name, environment.auto_deploy)]


def newest_commits(environment: Environment) -> set[str]:
    """The newest commits of the branches that fit the rule, as far as the portal keeps them (those of default branches)."""
    rows = BranchState.objects.filter(project=environment.project).values_list("branch", "commits")
    fit = [commits for branch, commits in rows if fnmatchcase(branch, environment.auto_deploy)]
    return {commit[0] for commits in fit for commit in commits}


def first_builds(environment: Environment, shas: Collection[str]) -> dict[str, int]:
    """The number of the first build of each revision for the rule's branches: a later rebuild makes no revision newer, and an
    earlier build of another branch makes none older."""
    builds = Build.objects.filter(project=environment.project, revision__in=shas).order_by("-number")
    rows = of_rule(
        environment, builds.only("number", "revision", "branch", "git_tags", "also_for", "tagged_for")
    )
    return {build.revision: build.number for build in rows}


def ask(environment: Environment, build: Build) -> None:
    """Asks the gate for the deploy of a build, or notes why not. Raises Refused (unknown-revision,
    archived), ExternalError."""
    rule, key = rule_of(environment), f"build-{build.number}"
    if known := requests.by_key(rule, key):  # an earlier try ended before its note
        return note(environment, build, deploy=known)
    if reason := why_not(environment, build):
        return note(environment, build, why_not=reason)
    commit = revisions.resolve(environment.project, build.revision)
    names = fitting(environment, build)
    if names and not any(revisions.is_on(environment.project, name, build.revision) for name in names):
        gone = f"The branch {names[0]} does not have {build.short} any more: it was moved or deleted since."
        return note(environment, build, why_not=gone)
    order = requests.Order(
        commit, build.revision, f"Build #{build.number} succeeded.", key,
        secret_versions=secret_pins.pinned(environment, None),
        branch=revisions.other_branch(environment.project, commit.sha, build.branch),
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
    if found := doubts(environment, build.revision):  # a rule cannot be asked whether it means it
        return f"{told(found)} The rule leaves it to people."
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
    first = first_builds(environment, {build.revision, revision})
    if revision not in first:  # built for other branches only
        numbers = Build.objects.filter(project=environment.project, revision__in=[build.revision, revision])
        first = dict(numbers.order_by().values_list("revision").annotate(first=Min("number")))
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


def forget_old() -> None:
    """Tick: deletes choices of long ago. Those on the newest builds stay, because a build without a choice is decided on; and the
    last one, because the environment's page shows it."""
    old = AutomaticChoice.objects.filter(made_at__lt=timezone.now() - KEPT)
    for environment in old.order_by("environment").values_list("environment", flat=True).distinct():
        own = AutomaticChoice.objects.filter(environment=environment)
        stay = {*own.order_by("-build__number").values_list("pk", flat=True)[:LOOKED_AT]}
        stay.update(own.values_list("pk", flat=True)[:1])
        goes = old.filter(environment=environment).exclude(pk__in=stay).order_by("pk")
        AutomaticChoice.objects.filter(pk__in=list(goes.values_list("pk", flat=True)[:AT_ONCE])).delete()


def last_choice(environment: Environment) -> AutomaticChoice | None:
    """What the rule did last, for pages."""
    return AutomaticChoice.objects.filter(environment=environment).select_related("build", "deploy").first()
