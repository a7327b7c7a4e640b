"""A revision that several branches or tags name: one build, and no branch is forgotten."""

from __future__ import annotations

import pytest
from django.db import IntegrityError
from django.utils import timezone

from audit.actors import Actor
from builds import deciding, following
from builds.life import LIFE
from builds.models import Build, Decision, Delivery
from builds.services import cancel_build, retry_build
from core import jobs
from core.errors import Refused
from projects.models import Project
from runs.life.ending import write_end
from runs.life.hooks import End
from runs.models import State
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)
from tests.builds.test_turns import ada, ask, end, project, push  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db
MAIN, RELEASE = "refs/heads/main", "refs/heads/release/1"


def decided(delivery: Delivery) -> Decision:
    deciding.decide(delivery.pk)
    return Decision.objects.get(delivery=delivery)


def succeeded(build: Build, *tagged_for: str) -> Build:
    """The build ends green; its step `tags` has seen these refs."""
    Build.objects.filter(pk=build.pk).update(state=State.RUNNING, tagged_for=list(tagged_for))
    build.refresh_from_db()
    write_end(LIFE, build, End(State.SUCCEEDED, "Done."))
    return build


def test_a_second_branch_is_taken_up_by_the_open_build(project: Project, ada: Actor) -> None:  # noqa: F811
    first = push(project, ada, "a")
    assert push(project, ada, "a", "release/1") == first
    assert push(project, ada, "a", "release/1") == first
    first.refresh_from_db()
    assert (first.also_for, first.refs, first.branches) == ([RELEASE], [MAIN, RELEASE], ["main", "release/1"])


def test_it_does_not_give_way_when_the_first_branch_moves_on(project: Project, ada: Actor) -> None:  # noqa: F811
    shared, alone = push(project, ada, "a"), push(project, ada, "b", "feature")
    push(project, ada, "a", "release/1")
    push(project, ada, "c")
    push(project, ada, "d", "feature")
    states = dict(Build.objects.values_list("revision", "state"))
    assert (states[shared.revision], states[alone.revision]) == (State.QUEUED, State.SUPERSEDED)


def test_what_a_person_asks_for_too_gives_way_to_nothing(project: Project, ada: Actor) -> None:  # noqa: F811
    asked, without = push(project, ada, "a"), push(project, ada, "b", "feature")
    assert ask(project, ada, "a") == asked
    assert ask(project, ada, "b", "") == without
    push(project, ada, "c")
    push(project, ada, "d", "feature")
    assert not Build.objects.filter(state=State.SUPERSEDED).exists()


def test_while_the_open_one_is_being_cancelled(project: Project, ada: Actor) -> None:  # noqa: F811
    build = push(project, ada, "a")
    Build.objects.update(state=State.CANCELLING, cancel_requested_at=timezone.now())
    with pytest.raises(Refused, match="is being cancelled"):
        ask(project, ada, "a")
    with pytest.raises(IntegrityError):  # a push is decided again later
        push(project, ada, "a", "release/1")
    build.refresh_from_db()
    assert build.also_for == []


def test_a_retry_is_for_all_of_them(project: Project, ada: Actor) -> None:  # noqa: F811
    first = push(project, ada, "a")
    push(project, ada, "a", "release/1")
    first.refresh_from_db()
    cancel_build(ada, first)
    assert retry_build(ada, first).build.refs == [MAIN, RELEASE]


def test_one_that_came_after_the_tags_gets_a_build_of_its_own(
    project: Project,  # noqa: F811
    ada: Actor,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks,  # type: ignore[no-untyped-def]
) -> None:
    pushed: list[tuple[object, ...]] = []
    monkeypatch.setattr(jobs, "push", lambda name, *ids, **_: pushed.append((name, ids)) or True)
    build = push(project, ada, "a")
    push(project, ada, "a", "release/1")
    succeeded(build, MAIN)
    with django_capture_on_commit_callbacks(execute=True):
        following.look_due()
    assert len([one for one in pushed if "build_for_others" in str(one)]) == 1
    for _ in range(2):
        following.build_for_others(build.pk)
    late = Build.objects.exclude(pk=build.pk).get()
    assert (late.revision, late.branch, late.cause) == (build.revision, "release/1", "catch_up")
    succeeded(late, RELEASE)
    with django_capture_on_commit_callbacks(execute=True):
        following.look_due()
    assert len([one for one in pushed if "build_for_others" in str(one)]) == 1


def test_nothing_follows_where_all_were_tagged(project: Project, ada: Actor) -> None:  # noqa: F811
    build = push(project, ada, "a")
    push(project, ada, "a", "release/1")
    succeeded(build, MAIN, RELEASE)
    following.build_for_others(build.pk)
    assert Build.objects.count() == 1


def test_a_push_of_a_branch_whose_head_was_tagged_needs_no_build(shop: Shop) -> None:
    shop.set_rules(branches=["*"])
    build = decided(shop.push()).build
    assert build is not None
    before = shop.origin.git("rev-parse", "HEAD~1")
    shop.origin.git("branch", "release/1")
    shop.origin.push()
    succeeded(build, MAIN, RELEASE)
    again = decided(shop.tell(before, build.revision, ref=RELEASE))
    assert again.build == build
    assert "has built" in again.sentence


def test_a_branch_that_comes_back_to_a_commit_gets_its_tags_again(shop: Shop) -> None:
    """After a forced push; its images are in the registry, so nothing is built."""
    first = decided(shop.push("First")).build
    assert first is not None
    succeeded(first, MAIN)
    second = decided(shop.push("Second")).build
    assert second is not None
    succeeded(second, MAIN)
    assert decided(shop.tell("a" * 40, first.revision)).build == first  # told late: main is at the second
    shop.origin.git("reset", "-q", "--hard", first.revision)
    shop.origin.push()
    again = decided(shop.tell(second.revision, first.revision, forced=True)).build
    assert again not in (first, second, None)
    assert again is not None
    assert again.revision == first.revision
