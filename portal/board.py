"""The board: releases and health of all environments, and work that waits for the person. A row for each project, a
column for each environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, When

from clusters.models import LiveState
from clusters.models import Trouble as Alarm
from deployments.gate import turns
from deployments.models import Deploy
from deployments.pages import overview
from deployments.pages.going_back import with_ways_back
from deployments.pages.overview import BAD_ENDS, EnvironmentView
from deployments.pages.progress import Progress, progress_of
from deployments.queries import light
from portal import board_filters
from portal.board_filters import ALL, WORDS
from projects.access import roles_by_environment, visible_filter, visible_projects
from projects.current import NOT_ARCHIVED
from projects.models import Cluster, Environment, Membership, Project, Role
from runs.models import ACTIVE
from ui.states import look

PROJECTS_SHOWN = 40
FILTER_FROM = 10  # projects; fewer are found by looking
COLUMNS = 6
OTHER = "other"
# On a phone a project is one line, which names the state of the first rank.
RANKS = {"failed": 0, "waiting": 1, "running": 2, "stopped": 3, "succeeded": 4}
TROUBLES = 5
RUNNING = 8


@dataclass(frozen=True)
class Cell:
    """The environments of a project in one column: mostly one, of the column's name."""

    column: str
    views: list[EnvironmentView]


@dataclass(frozen=True)
class Row:
    """A project with its environments by column."""

    project: Project
    cells: list[Cell]
    is_maintainer: bool

    @property
    def is_empty(self) -> bool:
        """Whether the project has no environment."""
        return not any(cell.views for cell in self.cells)

    @property
    def views(self) -> list[EnvironmentView]:
        """All its environments, in the order of the columns."""
        return [view for cell in self.cells for view in cell.views]

    @property
    def worst(self) -> str:
        """The headline to look at first (`EnvironmentView.headline`); empty where all is well or nothing is known to be wrong."""
        found = min(self.views, key=lambda view: RANKS[look(view.headline).css], default=None)
        return found.headline if found and RANKS[look(found.headline).css] < RANKS["stopped"] else ""


@dataclass(frozen=True)
class Trouble:
    """A problem that waits for the person: an environment whose newest deploy failed, or that is degraded or failing.
    `since`: when its oldest alarm began, else when the deploy ended; None where nothing tells."""

    environment: Environment
    deploy: Deploy | None
    since: datetime | None


@dataclass(frozen=True)
class Going:
    """An open deploy; with `progress` once it runs."""

    deploy: Deploy
    progress: Progress | None


@dataclass(frozen=True)
class Silence:
    """A cluster whose last answer is too old to be true. `since`: the time of that answer; `count`: shown environments in it."""

    cluster: Cluster
    since: datetime
    error: str
    count: int


@dataclass(frozen=True)
class Board:
    """All data of the page."""

    columns: list[str]
    rows: list[Row]
    project_count: int
    older: str
    sums: list[tuple[str, int]]
    troubles: list[Trouble]
    more_troubles: int
    going: list[Going]
    more_going: int
    lost_clusters: list[Cluster]
    silent: list[Silence]
    notices: list[Cluster]
    query: str
    show: str
    group: str
    groups: list[str]
    archived: int

    @property
    def needs(self) -> int:
        """The number of problems that wait for the person, including those not shown."""
        return len(self.lost_clusters) + len(self.troubles) + self.more_troubles

    @property
    def has_filter(self) -> bool:
        """Whether there are so many projects that the page offers a filter by name."""
        return self.project_count > FILTER_FROM or bool(self.query)

    @property
    def is_filtered(self) -> bool:
        """Whether not all projects are shown."""
        return self.show != ALL or bool(self.query or self.group)

    @property
    def filters(self) -> list[tuple[str, str, bool]]:
        """The filters beside the title: word, address, and whether it is chosen."""
        more = {"q": self.query, "group": self.group}
        kept = {name: value for name, value in more.items() if value}
        return [
            (word, "?" + urlencode({"show": show, **kept}), show == self.show) for show, word in WORDS.items()
        ]

    @property
    def running(self) -> int:
        """The number of running deploys."""
        return sum(one.deploy.state in ACTIVE for one in self.going)


def board(user: Any, *, query: str = "", after: str = "", show: str = ALL, group: str = "") -> Board:
    """The board for a person. `query`: part of a project's name; `after`: slug of the previous page's last project; `show`: one
    of board_filters.WORDS; `group`: only projects of this group."""
    visible = visible_projects(user).current()
    show = show if show in WORDS else ALL
    found = board_filters.filtered(visible, show, user).order_by("slug")
    if query:
        found = found.filter(Q(slug__icontains=query) | Q(name__icontains=query))
    if group:
        found = found.filter(group=group)
    projects = list(found.filter(slug__gt=after)[: PROJECTS_SHOWN + 1])
    older = older_address(projects, {"q": query, "show": "" if show == ALL else show, "group": group})
    projects = projects[:PROJECTS_SHOWN]
    environments = overview.environments().filter(
        NOT_ARCHIVED, project__in=[project.pk for project in projects]
    )
    opened = overview.open_deploys(visible_filter(user))
    shown = with_ways_back(overview.views(user, list(environments.order_by("order", "slug")), opened))
    troubles, more = troubles_of(user)
    # One query for both: projects that are current, and archived ones.
    kept = Q(archived_at=None)
    counted = visible_projects(user).aggregate(
        now=Count("pk", filter=kept), archived=Count("pk", filter=~kept)
    )
    columns = columns_of([view.environment for view in shown])
    return Board(
        columns=columns, rows=rows_of(projects, shown, columns, user), project_count=counted["now"], older=older,
        sums=board_filters.sums(user), troubles=troubles, more_troubles=more, going=going_of(opened),
        more_going=max(0, len(opened) - RUNNING), lost_clusters=lost_clusters(user), silent=silences(shown),
        notices=notices_of(shown), query=query, show=show, group=group, groups=groups_of(visible),
        archived=counted["archived"],
    )  # fmt: skip


def older_address(projects: Sequence[Project], filters: Mapping[str, str]) -> str:
    """The address of the next page of projects with the same filters, or empty."""
    if len(projects) <= PROJECTS_SHOWN:
        return ""
    kept = {name: value for name, value in filters.items() if value}
    return "?" + urlencode({**kept, "after": projects[PROJECTS_SHOWN - 1].slug})


def columns_of(environments: Sequence[Environment]) -> list[str]:
    """The slugs that get a column, in order: those of several projects, else the most frequent ones. `OTHER` follows where some
    have none: the column of an environment that only one project has would be empty for all other projects."""
    order: dict[str, int] = {}
    for environment in environments:
        order[environment.slug] = min(environment.order, order.get(environment.slug, environment.order))
    counted = Counter(environment.slug for environment in environments).most_common()
    several = [slug for slug, count in counted if count > 1] or [slug for slug, _ in counted]
    columns = sorted(several[:COLUMNS], key=lambda slug: (order[slug], slug))
    return columns if len(columns) == len(order) else [*columns, OTHER]


def rows_of(
    projects: Sequence[Project], shown: Sequence[EnvironmentView], columns: Sequence[str], user: Any
) -> list[Row]:
    """One row for each project. An environment without a column of its own stands in the last one, with its name."""
    kept = Membership.objects.filter(user=user, environment=None, role=Role.MAINTAINER)
    kept_by_user = set(kept.values_list("project_id", flat=True))
    rows = {
        project.pk: Row(
            project, [Cell(column, []) for column in columns], user.is_admin or project.pk in kept_by_user
        )
        for project in projects
    }
    for view in shown:
        slug = view.environment.slug
        place = columns.index(slug) if slug in columns else -1
        rows[view.environment.project_id].cells[place].views.append(view)
    return list(rows.values())


def silences(shown: Sequence[EnvironmentView]) -> list[Silence]:
    """The clusters that feed these environments and are silent, each once."""
    lost: dict[int, list[LiveState]] = {}
    clusters = {view.environment.cluster_id: view.environment.cluster for view in shown}
    for view in shown:
        if view.is_lost and view.live:
            lost.setdefault(view.environment.cluster_id, []).append(view.live)
    return [
        Silence(clusters[pk], max(one.read_at for one in lives if one.read_at), lives[0].error, len(lives))
        for pk, lives in lost.items()
    ]


def groups_of(visible: QuerySet[Project]) -> list[str]:
    """The groups of the projects that the person may see."""
    return list(visible.exclude(group="").order_by("group").values_list("group", flat=True).distinct())


def notices_of(shown: Sequence[EnvironmentView]) -> list[Cluster]:
    """The clusters of these environments that have a notice."""
    clusters = {view.environment.cluster_id: view.environment.cluster for view in shown}
    return [cluster for cluster in clusters.values() if cluster.notice]


def going_of(opened: Sequence[Deploy]) -> list[Going]:
    """Open deploys: running ones first, then waiting ones."""
    ordered = sorted(opened, key=turns.place)[:RUNNING]
    steps = progress_of(deploy for deploy in ordered if deploy.state in ACTIVE)
    return [Going(deploy, steps.get(deploy.run_id)) for deploy in ordered]


def troubles_of(user: Any) -> tuple[list[Trouble], int]:
    """Problems that this person may act on, and the number of further ones: environments that fail now, then failed deploys
    that wait for a decision, then the rest; of each the ones that wait longest first."""
    found = list(in_trouble(user)[:200])
    roles = roles_by_environment(user, found)
    mine = [row for row in found if (role := roles[row.pk]) and role.rank >= Role.DEPLOYER.rank]
    failed = [row.ended_id for row in mine[:TROUBLES] if row.ended_state in BAD_ENDS]  # type: ignore[attr-defined]
    deploys = {deploy.pk: deploy for deploy in light(Deploy.objects.filter(pk__in=failed))}
    shown = [Trouble(row, deploys.get(row.ended_id), row.since) for row in mine[:TROUBLES]]  # type: ignore[attr-defined]
    return shown, max(0, len(mine) - TROUBLES)


def in_trouble(user: Any) -> QuerySet[Environment]:
    """The environments with a problem, in the order of `troubles_of`; `ended_id`, `ended_state`: the newest ended deploy."""
    began = Alarm.objects.filter(environment=OuterRef("pk"), ended_at=None).order_by("began_at")
    fails, went_bad = Q(live__health=LiveState.Health.FAILING), Q(ended_state__in=BAD_ENDS)
    mine = (
        Environment.objects.current()
        .filter(visible_filter(user, "project"))
        .select_related("project", "live")
    )
    ended = Deploy.objects.filter(pk=OuterRef("ended_id"))
    return (
        board_filters.in_trouble(mine)
        .annotate(
            rank=Case(When(fails, then=0), When(went_bad, then=1), default=2),
            since=Case(
                When(fails, then=Subquery(began.values("began_at")[:1])),
                When(went_bad, then=Subquery(ended.values("ended_at")[:1])),
            ),
        )
        .order_by("rank", F("since").asc(nulls_last=True), "pk")
    )


def lost_clusters(user: Any) -> list[Cluster]:
    """Clusters that did not answer the last request; for admins only, since others see it at the environments."""
    if not user.is_admin:
        return []
    return list(Cluster.objects.current().exclude(last_error=""))
