"""The state of environments, for the board, the project page and the environment page.

Everything comes from the database. The number of queries does not depend on the number of environments or deploys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from adapters.git.repository import commit_url
from clusters.models import LiveState
from deployments.branches import behind
from deployments.gate import turns
from deployments.models import BranchState, Deploy, Release
from deployments.pages.drift import LiveRevision, Part, live_revision, what_runs
from deployments.pages.progress import Progress, progress_of
from deployments.queries import light, succeeded
from projects.access import roles_by_environment
from projects.current import NOT_ARCHIVED
from projects.models import Environment, Project, Role
from runs.models import ACTIVE, OPEN, State

STALE_AFTER = timedelta(minutes=2)
SILENT_AFTER = timedelta(minutes=1)  # where the cluster was asked since then and did not answer
# Ends that need a person to act. The person who cancelled a deploy knows already.
BAD_ENDS = (State.FAILED, State.ERRORED, State.TIMED_OUT, State.ABANDONED)
NOT_WELL = (LiveState.Health.FAILING, LiveState.Health.DEGRADED)
OLDER_RELEASES = 20  # compared when neither the last good nor the newest release has the running images


@dataclass(frozen=True)
class Commit:
    """The running commit: revision, subject, author, and address on the Git host."""

    revision: str
    subject: str
    author: str
    url: str


@dataclass(frozen=True)
class WayBack:
    """What a rollback goes back to (`target`), and the deploy on whose page it is asked for: the one that is in place."""

    target: Deploy
    asked_on: Deploy

    @property
    def text(self) -> str:
        """`Roll back to 625c2ff`; by the deploy's number where that revision is in place already, with other settings."""
        same = self.target.revision == self.asked_on.revision and self.target != self.asked_on
        return f"Roll back to {f'#{self.target.number}' if same else self.target.short}"


@dataclass(frozen=True)
class EnvironmentView:
    """The state of one environment, for pages.

    `good`: the newest succeeded deploy; `trouble`: the newest ended deploy, if it did not succeed; `active`: the running or
    cancelling deploy; `waiting`: the queued ones, in order. `release`: the one that runs, by what serves; `runs`: its
    revision; `parts`: what each workload runs, where they differ. `back`: what a rollback goes back to, where the environment
    needs one (`going_back.with_ways_back`). `drift`: a sentence when what runs is not the last deployed one;
    `outside`: the difference was made outside the portal. `behind`: number of newer commits on the default branch, None when
    not known.
    """

    environment: Environment
    live: LiveState | None
    good: Deploy | None
    trouble: Deploy | None
    active: Deploy | None
    waiting: tuple[Deploy, ...]
    runs: Commit | None
    parts: tuple[Part, ...]
    drift: str
    outside: bool
    behind: int | None
    role: Role | None
    release: Release | None = None
    progress: Progress | None = None
    back: WayBack | None = None
    now: datetime = field(default_factory=timezone.now)

    @property
    def health(self) -> str:
        """Health of the environment (`LiveState.Health`); `unknown` before the cluster's first answer, when the last one is too
        old to be true, and while only a deploy that ended since then could have changed it."""
        changed = self.is_outdated and (self.left_by or self.last_health in NOT_WELL)
        return LiveState.Health.UNKNOWN if self.is_lost or changed else self.last_health

    @property
    def last_health(self) -> str:
        """Health by the cluster's last answer, however old."""
        return self.live.health if self.live and self.live.read_at else LiveState.Health.UNKNOWN

    @property
    def is_lost(self) -> bool:
        """Whether the cluster's last answer is too old to be true: the cluster is silent, or nobody asks it."""
        if self.live is None or self.live.read_at is None:
            return False
        return self.now - self.live.read_at > (SILENT_AFTER if self.live.error else STALE_AFTER)

    @property
    def is_outdated(self) -> bool:
        """Whether the cluster's last answer is from before the end of the last deploys: it does not show what they left."""
        has_answer = self.live is not None and self.live.read_at is not None
        return has_answer and not _is_newer(self.live, (self.good, self.left_by))

    @property
    def left_by(self) -> Deploy | None:
        """The deploy that failed after it had begun to write, when no other has ended since."""
        failed = self.trouble is not None and self.trouble.state in BAD_ENDS
        return self.trouble if failed and self.trouble and self.trouble.release_id else None

    @property
    def headline(self) -> str:
        """The state that a page shows first: of the deploy that runs, or that failed, else the health."""
        if self.active is not None:
            return self.active.state if self.active.state == State.CANCELLING else "deploying"
        if self.is_new and not (self.live and self.live.workloads):
            return "not_started"
        return self.left_by.state if self.left_by else self.health

    @property
    def is_new(self) -> bool:
        """Whether the environment has no deploy that ended or runs."""
        return self.good is None and self.trouble is None and self.active is None

    @property
    def pods(self) -> tuple[int, int]:
        """Ready and desired replicas of all workloads."""
        workloads = self.live.workloads if self.live else []
        return sum(w.get("ready", 0) for w in workloads), sum(w.get("desired", 0) for w in workloads)

    @property
    def may_deploy(self) -> bool:
        """Whether the viewing person may deploy here."""
        return self.role is not None and self.role.rank >= Role.DEPLOYER.rank

    @property
    def why_not(self) -> str:
        """Why the viewing person may not deploy here; empty when they may."""
        if self.may_deploy:
            return ""
        if self.environment.is_archived:
            return "It is archived: nothing is deployed here."
        held = f"you are {self.role.label.lower()} here" if self.role else "you have no role here"
        return f"To deploy you need the role deployer; {held}."

    @property
    def has_something_new(self) -> bool:
        """Whether a deploy of the default branch would bring commits that do not run yet."""
        return bool(self.behind) or self.good is None


def environments() -> QuerySet[Environment]:
    """Environments with the columns and relations that `views` needs, without credentials."""
    ended = Deploy.objects.filter(environment=OuterRef("pk")).exclude(state__in=OPEN)
    return Environment.objects.select_related("project", "cluster", "live").annotate(
        good_id=Subquery(succeeded(OuterRef("pk")).values("pk")[:1]),
        ended_id=Subquery(ended.order_by("-number").values("pk")[:1]),
    )


def open_deploys(condition: Q) -> list[Deploy]:
    """The open deploys that match `condition`: the active ones, then the waiting ones in their order."""
    # Sorted here: with ORDER BY, SQLite reads all deploys of an environment instead of only the open ones.
    rows = light(Deploy.objects.filter(condition, state__in=OPEN)).order_by()
    return sorted(rows, key=turns.place)


def views(user: object, rows: Sequence[Environment], opened: Sequence[Deploy]) -> list[EnvironmentView]:
    """The views of `rows` (from `environments()`) for `user`. `opened`: all their open deploys (from `open_deploys()`)."""
    wanted = {pk for row in rows for pk in (row.good_id, row.ended_id) if pk}  # type: ignore[attr-defined]
    deploys = {deploy.pk: deploy for deploy in light(Deploy.objects.filter(pk__in=wanted))}
    roles = roles_by_environment(user, list(rows))
    branches = branch_states(rows)
    queues: dict[int, list[Deploy]] = defaultdict(list)
    for deploy in opened:
        queues[deploy.environment_id].append(deploy)
    steps = progress_of(deploy for deploy in opened if deploy.state in ACTIVE)
    pairs = {row.pk: _good_and_trouble(row, deploys) for row in rows}
    found = found_releases(rows, pairs)
    return [
        _view(
            row,
            *pairs[row.pk],
            queues[row.pk],
            found.get(row.pk),
            branches.get(row.project_id),
            roles[row.pk],
            steps,
        )
        for row in rows
    ]


def of_project(user: object, project: Project) -> list[EnvironmentView]:
    """The views of a project's environments, without those that are archived by themselves, in their order."""
    rows = list(environments().filter(NOT_ARCHIVED, project=project).order_by("order", "slug"))
    return views(user, rows, open_deploys(Q(environment__project=project)))


def branch_states(rows: Iterable[Environment]) -> dict[int, BranchState]:
    """The state of each project's default branch, by the project's primary key."""
    default = {row.project_id: row.project.default_branch for row in rows}
    states = BranchState.objects.filter(project__in=default)
    return {state.project_id: state for state in states if state.branch == default[state.project_id]}


Pair = tuple[Deploy | None, Deploy | None]


def _good_and_trouble(row: Environment, deploys: dict[int, Deploy]) -> Pair:
    good = deploys.get(row.good_id)  # type: ignore[attr-defined]
    ended = deploys.get(row.ended_id)  # type: ignore[attr-defined]
    return good, None if ended is good else ended


def found_releases(rows: Sequence[Environment], pairs: dict[int, Pair]) -> dict[int, LiveRevision]:
    """The release that runs, by the environment's primary key; only where the cluster's answer can be compared with one."""
    found: dict[int, LiveRevision] = {}
    unexplained: list[Environment] = []
    for row in rows:
        deploys, live = _with_release(pairs[row.pk]), _live(row)
        if not deploys or live is None or not _is_newer(live, pairs[row.pk]):
            continue
        found[row.pk] = live_revision(live.workloads, [one.release for one in deploys], deploys)  # type: ignore[misc]
        if found[row.pk].compared and found[row.pk].release is None:
            unexplained.append(row)
    for row, older in older_releases(unexplained).items():
        deploys = _with_release(pairs[row.pk])
        known = [deploy.release for deploy in deploys if deploy.release]
        found[row.pk] = live_revision(row.live.workloads, [*known, *older], deploys)
    return found


def _with_release(pair: Pair) -> list[Deploy]:
    return [deploy for deploy in pair if deploy and deploy.release]


def older_releases(rows: Sequence[Environment]) -> dict[Environment, list[Release]]:
    """The OLDER_RELEASES newest releases of each environment. Two queries; each reads only the newest rows of an index."""
    if not rows:
        return {}
    releases = Release.objects.filter(environment=OuterRef("pk")).order_by("-pk").values("pk")
    floors = Environment.objects.filter(pk__in=[row.pk for row in rows]).annotate(
        floor=Subquery(releases[OLDER_RELEASES - 1 : OLDER_RELEASES])
    )
    condition = Q(pk__in=[])
    for pk, floor in floors.values_list("pk", "floor"):
        condition |= Q(environment=pk, pk__gte=floor or 0)
    by_environment: dict[int, list[Release]] = defaultdict(list)
    for release in Release.objects.filter(condition).defer("objects_compressed").order_by("-pk"):
        by_environment[release.environment_id].append(release)
    return {row: by_environment[row.pk] for row in rows}


def _live(row: Environment) -> LiveState | None:
    return getattr(row, "live", None)


def _is_newer(live: LiveState | None, pair: Pair) -> bool:
    """Whether the cluster's answer is from after the end of the last deploys. An older one cannot show what they left."""
    ended = max((deploy.ended_at for deploy in pair if deploy and deploy.ended_at), default=None)
    return live is not None and live.read_at is not None and (ended is None or live.read_at >= ended)


def _view(
    row: Environment, good: Deploy | None, trouble: Deploy | None, queue: list[Deploy], found: LiveRevision | None,
    branch: BranchState | None, role: Role | None, steps: dict[UUID, Progress],
) -> EnvironmentView:  # fmt: skip
    active = next((deploy for deploy in queue if deploy.state in ACTIVE), None)
    release, drift, outside = what_runs(good, trouble, active, found)
    runs = commit_of(release, good, row.project.repository_url)
    return EnvironmentView(
        environment=row, live=_live(row), good=good, trouble=trouble, active=active,
        waiting=tuple(deploy for deploy in queue if deploy is not active), runs=runs,
        parts=found.parts if found and found.release is None and len(found.parts) > 1 else (), drift=drift, outside=outside,
        behind=behind(branch, runs.revision) if runs else None, role=role, release=release,
        progress=steps.get(active.run_id) if active else None,
    )  # fmt: skip


def commit_of(release: Release | None, good: Deploy | None, repository_url: str) -> Commit | None:
    """The commit of `release`, else of the deploy `good`, else None."""
    shown: Model | None = release or good
    if not isinstance(shown, (Release, Deploy)):
        return None
    return Commit(shown.revision, shown.subject, shown.author, commit_url(repository_url, shown.revision))
