"""Which projects the board shows: all, those in trouble, behind, or a person's own; and counts of everything they may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone

from audit.actors import PERSON
from clusters.models import LiveState
from deployments.models import BranchState, Deploy
from deployments.pages.overview import BAD_ENDS, SILENT_AFTER, STALE_AFTER
from deployments.queries import succeeded
from projects.access import visible_filter
from projects.models import Environment, Membership, Project, Role
from runs.models import OPEN

MINE_FOR = timedelta(days=30)
ALL, TROUBLE, BEHIND, MINE = "all", "trouble", "behind", "mine"
WORDS = {ALL: "All", TROUBLE: "Trouble", BEHIND: "Behind", MINE: "Mine"}


def in_trouble(environments: QuerySet[Environment]) -> QuerySet[Environment]:
    """Those that fail or are degraded now, or whose newest deploy ended badly; annotated with `ended_id`, `ended_state`."""
    ended = Deploy.objects.filter(environment=OuterRef("pk")).exclude(state__in=OPEN).order_by("-number")
    rows = environments.annotate(
        ended_id=Subquery(ended.values("pk")[:1]), ended_state=Subquery(ended.values("state")[:1])
    )
    bad = (LiveState.Health.FAILING, LiveState.Health.DEGRADED)
    return rows.filter(Q(live__health__in=bad) | Q(ended_state__in=BAD_ENDS))


def is_behind(environments: QuerySet[Environment]) -> QuerySet[Environment]:
    """Those whose last good deploy is not of the newest commit of the default branch."""
    heads = BranchState.objects.filter(
        project=OuterRef("project"), branch=OuterRef("project__default_branch")
    )
    rows = environments.annotate(
        head=Subquery(heads.values("head")[:1]),
        good=Subquery(succeeded(OuterRef("pk")).values("revision")[:1]),
    )
    return rows.filter(good__isnull=False).exclude(Q(head=None) | Q(head="")).exclude(good=F("head"))


def filtered(projects: QuerySet[Project], show: str, user: Any) -> QuerySet[Project]:
    """The projects that a filter leaves. An unknown filter leaves all."""
    if show == MINE:
        return projects.filter(_mine(user))
    having: dict[str, Callable[[QuerySet[Environment]], QuerySet[Environment]]] = {
        TROUBLE: in_trouble, BEHIND: is_behind
    }  # fmt: skip
    if show not in having:
        return projects
    return projects.filter(
        Exists(having[show](Environment.objects.current().filter(project=OuterRef("pk"))).values("pk"))
    )


def _mine(user: Any) -> Q:
    """Projects where the person may deploy by a role of their own, or has asked for a deploy lately."""
    roles = Membership.objects.filter(user=user, project=OuterRef("pk")).exclude(role=Role.VIEWER)
    asked = Deploy.objects.filter(
        environment__project=OuterRef("pk"), actor_kind=PERSON, actor_id=str(user.pk),
        created_at__gt=timezone.now() - MINE_FOR,
    )  # fmt: skip
    return Q(Exists(roles)) | Q(Exists(asked))


def sums(user: Any) -> list[tuple[str, int]]:
    """The number of environments for each health, the best first, of all that the person may see. Those that nobody has asked
    about are left out; an answer that is too old to be true, or that never came, counts as unknown."""
    now = timezone.now()
    lost = Q(live__read_at__lt=now - STALE_AFTER) | (
        Q(live__read_at__lt=now - SILENT_AFTER) & ~Q(live__error="")
    )
    asked = Q(live__read_at__isnull=False) | Q(live__error__gt="")
    rows = Environment.objects.current().filter(asked, visible_filter(user, "project"))
    health = Case(
        When(lost | Q(live__read_at=None), then=Value(LiveState.Health.UNKNOWN.value)),
        default=F("live__health"),
        output_field=CharField(),
    )
    counted = dict(rows.annotate(now=health).order_by().values_list("now").annotate(number=Count("pk")))
    return [(health, counted[health]) for health in LiveState.Health.values if counted.get(health)]
