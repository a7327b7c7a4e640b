"""Reads the data for the page of one deploy, with a constant number of queries."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from django.utils import timezone

from adapters.git.repository import commit_url
from clusters.models import Trouble
from deployments.gate import marking, plans, turns, undoing
from deployments.gate.doubts import doubts
from deployments.models import Deploy, ObjectState
from deployments.pages import going_back
from deployments.pages.deploy_page import Page
from deployments.pages.deploy_parts import FIRST, StepView, earlier_attempts, images_of, object_view
from deployments.pages.expected import Usual, expected, usual_of
from deployments.pages.failure_card import card
from deployments.pages.lifetime import lifetime
from deployments.queries import light
from runs.models import ACTIVE, State, Step


def page(deploy: Deploy, user: Any, *, sees_names: bool) -> Page:
    """Reads the data for the page of a deploy from `deployments.lookup.deploy_for`. `sees_names`: the reader may see the names
    of secret keys."""
    rows = steps_of(deploy)
    usual = usual_of(deploy) if deploy.is_open else None
    steps = [step_view(row, usual) for row in rows]
    found = ObjectState.objects.filter(run_id=deploy.run_id).defer("evidence")
    objects = [object_view(row, deploy) for row in found]
    changed = [one for one in objects if not one.stays]
    ahead = queue_before(deploy)
    made = Page(
        deploy=deploy,
        steps=steps,
        earlier=earlier_attempts(rows, deploy.attempt),
        changed=sorted(changed, key=lambda one: FIRST.get(one.progress, 2)),
        unchanged=[one for one in objects if one.stays],
        commit=commit_url(deploy.environment.project.repository_url, deploy.revision),
        waits_for=ahead[0] if ahead else None,
        ahead=len(ahead),
        target=None,
        images=images_of(deploy.release),
        secrets=sorted(deploy.release.secret_versions.items()) if deploy.release else [],
        key=uuid.uuid4().hex,
        named=sorted(deploy.key_names.items()) if sees_names else [],
        expected=expected(deploy, steps, usual, timezone.now()) if usual else None,
    )
    return with_what_follows(made, user)


def step_view(row: Step, usual: Usual | None) -> StepView:
    """A step, with the time that it takes as a rule."""
    seconds = usual.steps.get(row.name) if usual else None
    return StepView(row.name, row.state, row.seconds, row.started_at, row.summary, seconds)


def with_what_follows(made: Page, user: Any) -> Page:
    """The page with its possible actions: cancel while the deploy runs, roll back and deploy again after its end."""
    deploy = made.deploy
    if deploy.state == State.RUNNING:
        target, why_not = undoing.after_cancel(deploy)
        return replace(made, stop_target=target, why_no_stop_target=why_not)
    made = replace(made, follower=undoing.follower(deploy))
    return made if deploy.is_open else with_the_end(made, user)


def with_the_end(made: Page, user: Any) -> Page:
    """The page of a deploy that has ended: what became of it, the way back, and the card about its failure."""
    deploy = made.deploy
    now = going_back.of_environment(user, deploy.environment)
    has_run = deploy.state == State.SUCCEEDED or made.wrote
    way = going_back.way_of(deploy, now) if has_run else None
    target = way.target if way else None
    made = replace(
        made,
        now=now,
        aftermath=list(Trouble.objects.filter(run_id=deploy.run_id)),
        unlike_plan=plans.differences(deploy),
        lifetime=lifetime(deploy) if has_run else None,
        target=target,
        target_bad=marking.warning(target.release) if target else "",
        again_bad=" ".join(doubts(deploy.environment, deploy.revision, seen=deploy.number)),
    )
    return replace(made, trouble=card(deploy, [*made.changed, *made.unchanged], is_undone=not made.is_newest))


def steps_of(deploy: Deploy) -> list[Step]:
    """The deploy's steps in order."""
    return list(Step.objects.filter(run_id=deploy.run_id))


def queue_before(deploy: Deploy) -> list[Deploy]:
    """The deploys that go before a queued one, in order: the active one, then waiting ones. Empty in other states."""
    if deploy.state != State.QUEUED:
        return []
    active = Deploy.objects.filter(environment_id=deploy.environment_id, state__in=ACTIVE)
    before = [*light(active), *light(turns.waiting_before(deploy))]
    return sorted(before, key=turns.place)
