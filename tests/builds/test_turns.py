"""The order of builds: how many at once, newest wins, and what a person may do with one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.git.repository import Commit
from audit.actors import Actor, person
from audit.models import AuditEvent
from builds import turns
from builds.kind import BUILD
from builds.life import LIFE
from builds.models import Build, BuildSettings, BuiltImage
from builds.requests import Order, request_build
from builds.services import cancel_build, rebuild, retry_build
from core.errors import Refused
from projects.models import Project, Role
from runs.life.claim import claim
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State, Step
from tests.factories import grant, make_image, make_project, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = make_project(slug="shop")
    make_image(project, name="api")
    return project


@pytest.fixture
def ada(project: Project) -> Actor:
    user = make_user("ada")
    grant(user, Role.DEPLOYER, project)
    return person(user)


def ask(project: Project, actor: Actor, letter: str, branch: str = "main", **more: object) -> Build:
    commit = Commit(letter * 40, f"Change {letter}", "Ada", datetime(2026, 3, 1, tzinfo=UTC))
    return request_build(actor, project, Order(commit, branch=branch, **more)).build  # type: ignore[arg-type]


def push(project: Project, actor: Actor, letter: str, branch: str = "main") -> Build:
    return ask(project, actor, letter, branch, cause=Build.Cause.PUSH)


def start(build: Build) -> Build | None:
    return claim(LIFE, build.run_id, build.attempt)


def end(build: Build) -> None:
    Build.objects.filter(pk=build.pk).update(state=State.RUNNING)
    write_end(LIFE, build, End(State.SUCCEEDED, "Done."))


def test_one_at_a_time_in_the_order_of_their_numbers(project: Project, ada: Actor) -> None:
    first, second, third = (ask(project, ada, letter) for letter in "abc")
    assert start(second) is None
    assert start(first) is not None
    assert start(second) is start(third) is None
    assert list(turns.could_start()) == []
    end(first)
    assert list(turns.could_start()) == [second]
    assert turns.next_after(first) == second


def test_as_many_at_once_as_the_settings_say(project: Project, ada: Actor) -> None:
    BuildSettings.objects.create(project=project, at_once=2)
    builds = [ask(project, ada, letter) for letter in "abc"]
    assert list(turns.could_start()) == builds[:2]
    assert [start(build) is not None for build in builds] == [True, True, False]


def test_projects_do_not_wait_for_each_other(project: Project, ada: Actor) -> None:
    other = make_project(slug="other")
    make_image(other)
    grant(ada.user, Role.DEPLOYER, other)
    assert start(ask(project, ada, "a")) is not None
    assert start(ask(other, ada, "b")) is not None


def test_the_newest_push_of_a_branch_wins(project: Project, ada: Actor) -> None:
    running = push(project, ada, "a")
    assert start(running) is not None
    older, elsewhere = push(project, ada, "b"), push(project, ada, "c", "feature")
    asked_for = ask(project, ada, "d")
    newest = push(project, ada, "e")
    older.refresh_from_db()
    assert (older.state, older.superseded_by) == (State.SUPERSEDED, newest)
    assert older.result == f"main has moved on to eeeeeee, which build #{newest.number} builds."
    assert set(Step.objects.filter(run_id=older.run_id).values_list("state", flat=True)) == {"skipped"}
    assert older.images.get().state == BuiltImage.State.CANCELLED
    assert AuditEvent.objects.filter(verb="build.ended", data__state="superseded").count() == 1
    for build in (running, elsewhere, asked_for, newest):
        build.refresh_from_db()
        assert build.is_open


def test_many_pushes_leave_one_build_waiting(project: Project, ada: Actor) -> None:
    builds = [push(project, ada, format(number, "x")) for number in range(16)]
    states = list(Build.objects.order_by("number").values_list("state", flat=True))
    assert states == [State.SUPERSEDED] * 15 + [State.QUEUED]
    assert Build.objects.filter(superseded_by=builds[-1]).count() == 1


def test_cancelling_a_build_that_waits(project: Project, ada: Actor) -> None:
    build = ask(project, ada, "a")
    assert cancel_build(ada, build) == State.CANCELLED
    assert cancel_build(ada, build) == State.CANCELLED
    assert build.result == "ada cancelled it before it started."
    assert build.images.get().state == BuiltImage.State.CANCELLED
    assert AuditEvent.objects.filter(verb="build.cancel_requested").count() == 1


def test_cancelling_a_build_that_has_ended_is_refused(project: Project, ada: Actor) -> None:
    build = ask(project, ada, "a")
    end(build)
    with pytest.raises(Refused, match="has ended"):
        cancel_build(ada, build)


def test_who_may_not_build_may_neither_cancel_nor_repeat(project: Project, ada: Actor) -> None:
    viewer = person(make_user("vera"))
    grant(viewer.user, Role.VIEWER, project)
    build = ask(project, ada, "a")
    for function in (cancel_build, retry_build, rebuild):
        with pytest.raises(Refused, match="role"):
            function(viewer, build)
    assert AuditEvent.objects.filter(verb="build.refused").count() == 3
    build.refresh_from_db()
    assert build.state == State.QUEUED


def test_retry_and_rebuild_after_an_end(project: Project, ada: Actor) -> None:
    build = ask(project, ada, "a", git_tags=["v1"])
    with pytest.raises(Refused, match="has not ended"):
        retry_build(ada, build)
    end(build)
    answer = retry_build(ada, build, key="once")
    again = answer.build
    assert (again.cause, again.is_fresh, again.retry_of) == ("retry", False, build)
    assert (again.revision, again.branch, again.git_tags, again.subject) == (
        build.revision,
        "main",
        ["v1"],
        "Change a",
    )
    repeated = retry_build(ada, build, key="once")
    assert (repeated.build, repeated.created) == (again, False)
    end(again)
    assert rebuild(ada, again).build.is_fresh


def test_the_end_closes_images_that_were_not_done(project: Project, ada: Actor) -> None:
    make_image(project, name="web")
    build = ask(project, ada, "a")
    build.images.filter(name="web").update(state=BuiltImage.State.SUCCEEDED)
    assert LIFE.what_stays(build) == "images that were pushed stay in the registry"
    Build.objects.filter(pk=build.pk).update(state=State.RUNNING)
    write_end(LIFE, build, End(State.ERRORED, "The engine is away."))
    assert dict(build.images.values_list("name", "state")) == {"api": "failed", "web": "succeeded"}
    assert BUILD.about(build).facts == {"revision": "a" * 40, "cause": "person"}
