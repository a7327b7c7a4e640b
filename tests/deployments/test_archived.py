"""Archiving against requests at the same moment, over connections of their own: nothing begins in what is archived."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from adapters.git.repository import Commit
from audit.actors import person
from audit.models import AuditEvent
from builds import requests as builds
from builds.models import Build
from core.errors import Refused
from deployments.gate import requests
from deployments.models import Deploy
from people import leaving as accounts
from people.models import User
from projects.leaving.services import archive, remove, restore
from projects.models import Environment, Project
from runs.models import OPEN, State
from tests.deployments.test_races import all_at_once
from tests.factories import make_image, make_user

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 4


@pytest.fixture
def ada(environment: Environment) -> User:
    return make_user("ada", is_admin=True)


def commit(n: int) -> Commit:
    return Commit(f"{n:040x}", f"Change {n}", "Ana", timezone.now())


def outcome(act: Any) -> str:
    """`done`, or the code of the refusal."""
    try:
        act()
    except Refused as refusal:
        return refusal.code
    return "done"


@pytest.mark.parametrize("part", ["environment", "project"])
def test_the_gate_looks_again_under_its_lock(
    environment: Environment, ada: User, commits: Any, pushed: Any, part: str
) -> None:
    """The row that the request holds was read before it was archived."""
    table, pk = (Environment, environment.pk) if part == "environment" else (Project, environment.project_id)
    table.objects.filter(pk=pk).update(archived_at=timezone.now())
    assert (
        outcome(lambda: requests.request_deploy(person(ada), environment=environment, revision="main"))
        == "archived"
    )
    make_image(environment.project)
    assert outcome(lambda: build(ada, environment, 1)) == ("done" if part == "environment" else "archived")
    assert not Deploy.objects.exists()


def build(ada: User, environment: Environment, n: int) -> builds.Answer:
    return builds.request_build(person(ada), environment.project, builds.Order(commit(n)))


@pytest.mark.parametrize("part", ["environment", "project"])
def test_archiving_and_a_request_at_the_same_moment(
    environment: Environment, ada: User, pushed: Any, part: str
) -> None:
    """Whichever is first keeps the other one away."""
    thing: Any = environment if part == "environment" else environment.project
    for n in range(ROUNDS):
        order = requests.Order(commit(n), str(n))
        acts = [
            lambda: archive(person(ada), thing=thing),
            lambda order=order: requests.open_deploy(person(ada), environment, order),
        ]
        if n % 2:
            acts.reverse()
        found = all_at_once(2, lambda at, acts=acts: outcome(acts[at]))
        if n % 2:
            found.reverse()
        assert found in (["done", "archived"], ["in-use", "done"])
        row = type(thing).objects.get(pk=thing.pk)
        assert bool(row.archived_at) == (found[0] == "done")
        assert Deploy.objects.filter(state__in=OPEN).count() == (found[1] == "done")
        Deploy.objects.update(state=State.SUCCEEDED)
        type(thing).objects.filter(pk=thing.pk).update(archived_at=None)


def test_archiving_a_project_and_a_build_at_the_same_moment(
    environment: Environment, ada: User, pushed: Any
) -> None:
    make_image(environment.project)
    for n in range(ROUNDS):
        acts = [
            lambda: archive(person(ada), thing=environment.project),
            lambda n=n: build(ada, environment, n),
        ]
        found = all_at_once(2, lambda at, acts=acts: outcome(acts[at]))
        assert found in (["done", "archived"], ["in-use", "done"])
        assert Build.objects.filter(state__in=OPEN).count() == (found[1] == "done")
        Build.objects.update(state=State.SUCCEEDED)
        Project.objects.update(archived_at=None)


def test_archiving_and_restoring_by_many_is_done_once(environment: Environment, ada: User) -> None:
    for act, verb in ((archive, "environment.archived"), (restore, "environment.restored")):
        assert (
            all_at_once(4, lambda _, act=act: outcome(lambda: act(person(ada), thing=environment)))
            == ["done"] * 4
        )
        assert AuditEvent.objects.filter(verb=verb).count() == 1


def test_removing_and_restoring_at_the_same_moment(environment: Environment, ada: User) -> None:
    """Either it is there, restored, or it is gone; never an error that nobody foresaw."""
    from django.http import Http404

    archive(person(ada), thing=environment)

    def act(n: int) -> str:
        try:
            return outcome(lambda: (remove if n else restore)(person(ada), thing=environment))
        except Http404:
            return "gone"

    assert all_at_once(2, act) in (["done", "in-use"], ["gone", "done"])


def test_two_admins_who_archive_each_other_leave_one(environment: Environment, ada: User) -> None:
    bea = make_user("bea", is_admin=True)
    pairs = [(ada, bea), (bea, ada)]
    found = all_at_once(
        2,
        lambda n: outcome(
            lambda: accounts.archive(person(User.objects.get(pk=pairs[n][0].pk)), user=pairs[n][1])
        ),
    )
    assert sorted(found) in (["done", "last-admin"], ["done", "role"])
    assert User.objects.filter(is_admin=True, is_active=True).count() == 1
