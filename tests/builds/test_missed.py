"""Pushes that no delivery told: a look at Git finds them, and begins without building what is old."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from adapters.errors import Denied, Unavailable
from audit.actors import SYSTEM_ACTOR
from builds import changing, deciding, judging, missed
from builds.deciding import decide
from builds.models import Build, BuildSettings, Decision, Delivery, SeenBranch
from projects import connections
from runs.models import State
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, deliver, push_body, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)


class Ecr:
    """A registry that has some tags."""

    def __init__(self) -> None:
        self.tags: set[str] = set()
        self.fails: Exception | None = None

    def digests(self, repository: str, tags: Any) -> dict[str, str]:
        if self.fails:
            raise self.fails
        return {tag: "sha256:x" for tag in tags if tag in self.tags}


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Ecr:
    one = Ecr()
    monkeypatch.setattr(connections, "ecr", lambda *_, **__: one)
    return one


@pytest.fixture(autouse=True)
def always_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look asks the host: the tests' pushes are younger than the mirror may be."""
    usual = judging.fetched
    monkeypatch.setattr(missed, "fetched", lambda project, age: usual(project, 0))


def look(shop: Shop) -> list[Build]:
    """One look; the builds that it led to."""
    before = set(Build.objects.values_list("pk", flat=True))
    missed.look_at(shop.project.pk)
    return list(Build.objects.exclude(pk__in=before).order_by("number"))


@pytest.fixture
def looked(shop: Shop, ecr: Ecr) -> Shop:
    """A project at which the portal has looked before."""
    ecr.tags = {shop.origin.git("rev-parse", "HEAD")}
    assert look(shop) == []
    return shop


def test_the_first_look_builds_the_default_branch_alone(shop: Shop, ecr: Ecr) -> None:
    shop.set_rules(branches=["*"])
    shop.origin.git("branch", "old/one")
    shop.origin.git("branch", "old/two")
    shop.origin.push()
    (build,) = look(shop)
    assert (build.cause, build.branch, build.actor_text) == ("catch_up", "main", "push")
    assert look(shop) == []
    assert SeenBranch.objects.filter(ref__startswith="refs/").count() == 3


def test_the_first_look_builds_nothing_that_the_registry_has(looked: Shop) -> None:
    assert not Delivery.objects.exists()
    assert SeenBranch.objects.filter(ref="refs/heads/main").exists()


def test_a_registry_that_does_not_answer_lets_the_build_find_out(shop: Shop, ecr: Ecr) -> None:
    ecr.fails = Unavailable("ECR does not answer.", system="ECR")
    assert len(look(shop)) == 1


def test_a_push_that_nobody_told_is_built(looked: Shop) -> None:
    looked.origin.commit("Missed", {"a": "1"})
    (build,) = look(looked)
    row = Delivery.objects.get()
    assert (build.cause, build.subject, build.branch) == ("catch_up", "Missed", "main")
    assert (row.event, row.state, row.after) == ("seen", "decided", build.revision)
    assert Decision.objects.get().build == build
    assert look(looked) == []


def test_of_several_missed_pushes_of_a_branch_the_newest_is_built(looked: Shop) -> None:
    for number in range(3):
        looked.origin.commit(f"Missed {number}", {"a": str(number)})
    (build,) = look(looked)
    assert build.subject == "Missed 2"


def test_rules_hold_for_missed_pushes_too(looked: Shop) -> None:
    looked.set_rules(ignore=["docs"])
    looked.origin.commit("Only docs", {"docs/a": "1"})
    assert look(looked) == []
    assert Decision.objects.get().sentence == "The changed path docs/a is not watched or is ignored."
    looked.origin.commit("Quiet [skip build]", {"src/a": "1"})
    assert look(looked) == []
    looked.origin.commit("Code", {"src/a": "2"})
    assert len(look(looked)) == 1


def test_a_push_that_a_delivery_told_is_no_missed_one(looked: Shop) -> None:
    decide(looked.push().pk)
    assert look(looked) == []
    assert not Delivery.objects.filter(event="seen").exists()


def test_a_waiting_delivery_of_a_fork_makes_up_for_nothing(looked: Shop) -> None:
    """A fork has the same commits on branches of the same names."""
    before = looked.origin.git("rev-parse", "HEAD")
    after = looked.origin.commit("Change", {"a": "1"})
    looked.origin.push()
    deliver(looked.client, push_body("https://git.example/fork/shop.git", before=before, after=after))
    assert [build.revision for build in look(looked)] == [after]


def test_a_waiting_delivery_of_anothers_secret_makes_up_for_nothing(looked: Shop) -> None:
    other = make.make_project(repository_url=looked.url)
    delivery = looked.push()
    Delivery.objects.filter(pk=delivery.pk).update(signers=[other.pk], signed_by=other)
    assert [build.revision for build in look(looked)] == [delivery.after]


def test_a_push_whose_delivery_waits_is_left_to_it(looked: Shop) -> None:
    delivery = looked.push()
    assert look(looked) == []
    decide(delivery.pk)
    assert Build.objects.get().cause == "push"


def test_a_delivery_that_comes_after_the_look_finds_the_build(looked: Shop) -> None:
    before = looked.origin.git("rev-parse", "HEAD")
    after = looked.origin.commit("Fast", {"a": "1"})
    (build,) = look(looked)
    late = looked.tell(before, after)
    decide(late.pk)
    assert Decision.objects.get(delivery=late).build == build
    assert Build.objects.count() == 1


def test_new_branches_and_tags_that_fit_are_built(looked: Shop, ecr: Ecr) -> None:
    changing.change_rules(SYSTEM_ACTOR, looked.project, edited=0, branches=["main", "release/*"], tags=["v*"])
    assert look(looked) == []
    looked.origin.git("tag", "-a", "v1", "-m", "one")
    looked.origin.git("tag", "other")
    looked.origin.git("checkout", "-q", "-b", "release/2")
    looked.origin.commit("Release", {"r": "1"})
    looked.origin.git("checkout", "-q", "-b", "feature")
    looked.origin.commit("Feature", {"f": "1"})
    found = look(looked)
    assert {(one.branch, *one.git_tags) for one in found} == {("release/2",), ("", "v1")}


def test_other_rules_do_not_build_old_branches(looked: Shop) -> None:
    for number in range(5):
        looked.origin.git("checkout", "-q", "-b", f"old/{number}", "main")
        looked.origin.commit(f"Old {number}", {f"o{number}": "1"})
    assert look(looked) == []
    changing.change_rules(SYSTEM_ACTOR, looked.project, edited=0, branches=["*"])
    assert look(looked) == []
    looked.origin.commit("New on old", {"n": "1"})
    assert [one.branch for one in look(looked)] == ["old/4"]


def test_one_look_decides_a_few_and_the_next_goes_on(looked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    looked.set_rules(branches=["*"])
    monkeypatch.setattr(missed, "MOST_PUSHES", 2)
    for number in range(5):
        looked.origin.git("checkout", "-q", "-b", f"new/{number}", "main")
        looked.origin.commit(f"New {number}", {f"o{number}": "1"})
    assert [len(look(looked)) for _ in range(4)] == [2, 2, 1, 0]


def test_branches_that_are_gone_are_forgotten_and_come_back_as_new(looked: Shop) -> None:
    looked.set_rules(branches=["*"])
    looked.origin.git("branch", "brief")
    looked.origin.push()
    look(looked)
    looked.origin.git("branch", "-D", "brief")
    looked.origin.push()
    look(looked)
    assert not SeenBranch.objects.filter(ref="refs/heads/brief").exists()


def test_two_looks_at_once_decide_once(looked: Shop) -> None:
    looked.origin.commit("Missed", {"a": "1"})
    refs = missed.refs_of(looked.project)
    known = dict(SeenBranch.objects.values_list("ref", "head"))
    (push,) = missed.moved(refs, known)
    missed.catch_up(looked.project, push)
    missed.catch_up(looked.project, push)
    assert (Delivery.objects.count(), Build.objects.count(), Decision.objects.count()) == (1, 1, 1)


def test_a_repository_that_does_not_answer_is_asked_again_later(
    looked: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise Unavailable("git.example does not answer.", system="Git")

    looked.origin.commit("Missed", {"a": "1"})
    with monkeypatch.context() as patch:
        patch.setattr(missed, "fetched", down)
        assert look(looked) == []
    assert len(look(looked)) == 1


def test_projects_that_do_not_build_pushes_are_not_looked_at(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(missed, "enqueue", lambda name, pk, **_: asked.append(pk))
    missed.look_due()
    assert asked == [shop.project.pk]
    shop.set_rules(on_push=False)
    missed.look_due()
    assert len(asked) == 1
    missed.look_at(shop.project.pk)
    assert not SeenBranch.objects.exists()


def test_many_projects_are_looked_at_in_turns(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "PER_ROUND", 3)
    ids = []
    for _ in range(7):
        project = make.make_project()
        BuildSettings.objects.create(project=project, on_push=True)
        ids.append(project.pk)
    asked: list[int] = []
    monkeypatch.setattr(missed, "enqueue", lambda name, pk, **_: asked.append(pk))
    for number in range(7):
        monkeypatch.setattr(missed, "slot", lambda seconds, number=number: number)
        missed.look_due()
    assert len(asked) == 21
    assert all(asked.count(pk) == 3 for pk in ids)


def test_a_failed_delivery_is_made_up_for_by_the_look(looked: Shop) -> None:
    delivery = looked.push("Failed to be decided")
    Delivery.objects.filter(pk=delivery.pk).update(state="failed")
    (build,) = look(looked)
    assert build.cause == "catch_up"
    Build.objects.update(state=State.SUCCEEDED)
    deliver(looked.client, push_body(looked.url, after=build.revision), delivery=delivery.delivery_id)
    decide(delivery.pk)
    assert Build.objects.count() == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_a_missed_push_whose_decision_failed_is_decided_again(
    shop: Shop, ecr: Ecr, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    if not is_first:
        ecr.tags = {shop.origin.git("rev-parse", "HEAD")}
        assert look(shop) == []
    shop.origin.commit("Missed", {"a": "1"})

    def denied(*_: Any, **__: Any) -> Any:
        raise Denied("git.example refuses the credential.", system="Git")

    with monkeypatch.context() as patch:
        patch.setattr(judging, "fetched", denied)
        patch.setattr(deciding, "judge_push", denied)
        assert look(shop) == []
    row = Delivery.objects.get()
    assert row.state == "failed"
    assert look(shop) == []  # not at each look
    Delivery.objects.update(decided_at=row.decided_at - deciding.LONGEST_PAUSE - timedelta(seconds=1))
    (build,) = look(shop)
    assert build.subject == "Missed"
    assert Delivery.objects.get().state == "decided"
    assert look(shop) == []
