"""The deploy that a rollback goes back to, for all pages that offer one: board, project, environment, deploy.

None goes back to what runs already. What runs is told by `overview.EnvironmentView`. After a deploy that failed or was
cancelled after its first write, its objects are in place whatever still serves: then the release before it is the way back.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Q, Subquery

from clusters.models import LiveState
from deployments.gate import requests
from deployments.models import Deploy, Release
from deployments.pages import overview
from deployments.pages.overview import EnvironmentView, WayBack
from deployments.queries import light, succeeded
from projects.models import Environment
from runs.models import State, Step

_UNWELL = (LiveState.Health.DEGRADED, LiveState.Health.FAILING)


def with_ways_back(views: Sequence[EnvironmentView]) -> list[EnvironmentView]:
    """The views, with `back` where the environment is in trouble and the person may deploy. At most three queries."""
    needed = [view for view in views if view.may_deploy and is_in_trouble(view)]
    found = ways_back(needed)
    return [replace(view, back=found.get(view.environment.pk)) for view in views]


def is_in_trouble(view: EnvironmentView) -> bool:
    """Whether a rollback may help: nothing runs or waits, and the last deploy failed, or the workloads are not well."""
    if view.active or view.waiting or view.good is None:
        return False
    return view.left_by is not None or view.health in _UNWELL


def ways_back(views: Collection[EnvironmentView]) -> dict[int, WayBack]:
    """By the environment's primary key, the way to the newest good release that is not in place. Three queries at most."""
    if not views:
        return {}
    wrote = written(views)
    good = _any(_good(view, in_place(view, wrote)) for view in views)
    rows = Environment.objects.filter(pk__in=[view.environment.pk for view in views])
    chosen = rows.annotate(back=Subquery(succeeded(OuterRef("pk")).filter(good).values("pk")[:1]))
    places = dict(chosen.values_list("back", "pk"))
    targets = {
        places[one.pk]: one for one in light(Deploy.objects.filter(pk__in=[pk for pk in places if pk]))
    }
    newest = {view.environment.pk: newest_of(view, wrote) for view in views}
    return {pk: WayBack(target, newest[pk] or target) for pk, target in targets.items()}


def newest_of(view: EnvironmentView, wrote: Container[UUID]) -> Deploy | None:
    """The deploy that ended last with something written. `wrote`: as from `written`."""
    return view.trouble if view.trouble and view.trouble.run_id in wrote else view.good


def _good(view: EnvironmentView, there: Release | None) -> Q:
    """Deploys that a rollback of the environment can choose: a verified release that is not marked bad, was made for where the
    environment is, and differs from the one in place."""
    environment = view.environment
    good = Q(
        environment=environment.pk,
        release__verified_at__isnull=False,
        release__marked_bad_by="",
        release__place__in=("", environment.place),
    )
    return good & ~Q(release__content_hash=there.content_hash) if there else good


def _any(conditions: Iterable[Q]) -> Q:
    found = Q(pk__in=[])
    for condition in conditions:
        found |= condition
    return found


def written(views: Iterable[EnvironmentView]) -> set[UUID]:
    """Of the deploys that ended last and did not succeed: those that had begun to write. One query, none without such deploys."""
    last = [view.trouble.run_id for view in views if view.trouble]
    if not last:
        return set()
    begun = Step.objects.filter(run_id__in=last, name="apply", started_at__isnull=False)
    return set(begun.values_list("run_id", flat=True))


def in_place(view: EnvironmentView, wrote: Container[UUID]) -> Release | None:
    """The release whose objects are in place: of the deploy that failed or was cancelled last, else the one that runs. None
    where workloads run different ones and no deploy left them so. `wrote`: as from `written`."""
    if view.trouble is not None and view.trouble.run_id in wrote:
        return view.trouble.release
    return None if view.parts else view.release


def of_environment(user: Any, environment: Environment) -> EnvironmentView:
    """The view of one environment, for a person who may see it."""
    rows = list(overview.environments().filter(pk=environment.pk))
    return overview.views(user, rows, overview.open_deploys(Q(environment=environment)))[0]


def way_of(deploy: Deploy, view: EnvironmentView) -> WayBack | None:
    """The way back that the page of `deploy`, which has ended, offers. None where that runs already, or where a later deploy has
    taken its place.

    For the newest deploy: to the last good one before it. For an older one that succeeded: to itself, even if it is marked as bad
    (the dialog warns then).
    """
    if view.active or view.waiting:
        return None
    wrote = written([view])
    newest = newest_of(view, wrote)
    if newest is not None and deploy.pk == newest.pk:
        return ways_back([view]).get(view.environment.pk)
    there = in_place(view, wrote)
    if deploy.state != State.SUCCEEDED or (there and there.content_hash == _hash(deploy)):
        return None
    usable = not requests.why_no_rollback_to(deploy, deploy.environment, although_bad=True)
    return WayBack(deploy, deploy) if usable else None


def ways(deploys: Iterable[Deploy], views: Collection[EnvironmentView]) -> set[int]:
    """The primary keys of those deploys that the person of the views can roll their environment back to, because their release is
    good and not in place. For lists; one query at most."""
    free = {view.environment.pk: view for view in views if _is_free(view)}
    wrote = written(free.values())
    there = {pk: in_place(view, wrote) for pk, view in free.items()}
    found = set()
    for deploy in deploys:
        view = free.get(deploy.environment_id)
        if view is not None and _is_good(deploy, view.environment):
            release = there[deploy.environment_id]
            if release is None or _hash(deploy) != release.content_hash:
                found.add(deploy.pk)
    return found


def _is_free(view: EnvironmentView) -> bool:
    return view.may_deploy and not view.active and not view.waiting


def _is_good(deploy: Deploy, environment: Environment) -> bool:
    release = deploy.release
    if deploy.state != State.SUCCEEDED or release is None or release.verified_at is None:
        return False
    return not release.is_bad and release.fits(environment)


def _hash(deploy: Deploy) -> str:
    return deploy.release.content_hash if deploy.release else ""
