"""What follows from a push in each project of its repository, with a real repository behind it."""

from __future__ import annotations

from typing import Any

import pytest
import time_machine
from django.utils import timezone
from rq.timeouts import JobTimeoutException

from adapters.errors import Denied, ExternalError, Unavailable
from builds import deciding, judging
from builds.incoming.forgetting import forget_old
from builds.models import Build, BuildSettings, Decision, Delivery, SeenBranch
from core import changes
from core.models import Change
from projects import connections
from projects.models import Allotment
from runs.models import State
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import ZEROS, Shop, deliver, push_body, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)


def decided(delivery: Delivery) -> Decision:
    """The only decision on a delivery."""
    deciding.decide(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "decided", delivery.sentence
    return Decision.objects.get(delivery=delivery)


def test_a_push_becomes_a_build_that_says_who_pushed(shop: Shop) -> None:
    found = decided(shop.push("Make it blue"))
    build = found.build
    assert build is not None
    assert (found.verdict, found.sentence) == ("build", "main is the default branch.")
    assert (build.state, build.cause, build.branch, build.actor_kind, build.actor_text) == (
        "queued", "push", "main", "system", "push by mira",
    )  # fmt: skip
    assert (build.revision, build.subject, build.author) == (
        shop.origin.git("rev-parse", "HEAD"),
        "Make it blue",
        "Ana",
    )
    assert build.delivery == found.delivery
    assert list(build.images.values_list("name", flat=True)) == ["web"]
    assert SeenBranch.objects.get(project=shop.project).head == build.revision


def test_a_delivery_is_decided_once(shop: Shop) -> None:
    delivery = shop.push()
    for _ in range(3):
        deciding.decide(delivery.pk)
    assert (Decision.objects.count(), Build.objects.count()) == (1, 1)
    assert deciding.carry_out(delivery, []) is False


def test_the_revision_subject_and_author_are_those_of_git(shop: Shop) -> None:
    """Not those of the body: its sender is trusted to have signed it, not more."""
    head = shop.origin.commit("True", {"a": "b"})
    found = decided(shop.tell("a" * 40, head, subject="Forged"))
    assert found.build is not None
    assert found.build.subject == "True"


def test_a_commit_that_the_branch_does_not_have_is_not_built(shop: Shop) -> None:
    head = shop.origin.git("rev-parse", "HEAD")
    found = decided(shop.tell(head, "c" * 40))
    assert (found.build, found.sentence) == (
        None, "The branch main does not have ccccccc any more: it was moved or deleted since.",
    )  # fmt: skip
    shop.origin.git("checkout", "-q", "-b", "other")
    elsewhere = shop.origin.commit("Elsewhere", {"x": "y"})
    assert decided(shop.tell(head, elsewhere)).build is None


def test_a_branch_that_was_force_pushed_away_since_is_not_built(shop: Shop) -> None:
    delivery = shop.push("Soon gone")
    shop.origin.git("reset", "-q", "--hard", "HEAD~1")
    shop.origin.commit("Instead", {"z": "z"})
    assert "any more" in decided(delivery).sentence


def test_where_the_push_itself_says_no_git_is_not_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("asked Git")

    monkeypatch.setattr(connections, "git_repository", never)
    for more, word in (
        ({"ref": "refs/heads/feature"}, "only main is"),
        ({"subject": "x [skip ci]"}, "skip ci"),
        ({"after": ZEROS}, "was deleted"),
        ({"ref": "refs/tags/v1"}, "no tags"),
    ):
        deliver(shop.client, push_body(shop.url, **more))
        found = decided(Delivery.objects.order_by("-pk")[0])
        assert word in found.sentence
        assert found.build is None
    shop.set_rules(on_push=False)
    assert "switched off" in decided(shop.push()).sentence


def test_skip_build_in_the_true_subject_counts(shop: Shop) -> None:
    head = shop.origin.commit("Quiet [skip build]", {"a": "b"})
    assert "[skip build]" in decided(shop.tell("a" * 40, head, subject="Loud")).sentence


def test_paths_of_the_push_decide(shop: Shop) -> None:
    shop.set_rules(watch=["src"], ignore=["*.md"])
    assert decided(shop.push(files={"docs/x": "1"})).build is None
    assert decided(shop.push(files={"src/README.md": "1"})).build is None
    assert decided(shop.push(files={"src/app.py": "1"})).build is not None


def test_after_a_forced_push_git_tells_what_changed(shop: Shop) -> None:
    shop.set_rules(ignore=["docs"])
    before = shop.origin.commit("Old", {"docs/a": "1"})
    connections.git_repository(shop.project).fetch(0)
    shop.origin.git("reset", "-q", "--hard", "HEAD~1")
    after = shop.origin.commit("New", {"docs/b": "2"})
    found = decided(shop.tell(before, after, forced=True, paths=["src/lie.py"]))
    assert (found.build, found.sentence) == (None, "2 changed paths are not watched or are ignored.")


def test_where_the_old_head_is_gone_it_is_built(shop: Shop) -> None:
    shop.set_rules(ignore=["*"])
    after = shop.origin.commit("New", {"docs/b": "2"})
    found = decided(shop.tell("d" * 40, after, forced=True))
    assert found.build is not None
    assert found.sentence == "What changed cannot be told, so it is built."


def test_a_push_that_names_too_many_commits_is_told_by_git(shop: Shop) -> None:
    shop.set_rules(watch=["src"])
    before = shop.origin.git("rev-parse", "HEAD")
    after = shop.origin.commit("Only docs", {"docs/b": "2"})
    found = decided(shop.tell(before, after, commits=[]))
    assert found.sentence == "The changed path docs/b is not watched or is ignored."


def test_tags_light_and_annotated_lead_to_their_commit(shop: Shop) -> None:
    shop.set_rules(tags=["v*"])
    head = shop.origin.git("rev-parse", "HEAD")
    for number, command in enumerate((["tag", "v1"], ["tag", "-a", "v2", "-m", "two"])):
        shop.origin.git(*command)
        shop.origin.push()
        name = command[-3] if "-a" in command else command[-1]
        thing = shop.origin.git("rev-parse", name)
        found = decided(shop.tell(ZEROS, thing, ref=f"refs/tags/{name}", head=head))
        assert found.build is not None, found.sentence
        assert (found.build.revision, found.build.branch) == (head, "")
        if number == 0:
            assert found.build.git_tags == ["v1"]


def test_a_new_branch_is_built_whatever_changed(shop: Shop) -> None:
    shop.set_rules(branches=["release/*"], watch=["nothing"])
    shop.origin.git("checkout", "-q", "-b", "release/1")
    shop.origin.push()
    head = shop.origin.git("rev-parse", "HEAD")
    found = decided(shop.tell(ZEROS, head, ref="refs/heads/release/1"))
    assert found.build is not None
    assert found.build.branch == "release/1"


def test_a_deleted_branch_is_forgotten(shop: Shop) -> None:
    SeenBranch.objects.create(project=shop.project, ref="refs/heads/main", head="a" * 40)
    deliver(shop.client, push_body(shop.url, after=ZEROS))
    decided(Delivery.objects.get())
    assert not SeenBranch.objects.exists()


def test_several_projects_of_one_repository_decide_each_for_itself(shop: Shop) -> None:
    api = make.with_address(
        make.make_project(slug="api", repository_url=shop.url.removesuffix(".git") + ".git/")
    )
    make.make_image(api, name="api")
    BuildSettings.objects.create(project=api, on_push=True, watch=["api"])
    deaf = make.with_address(make.make_project(slug="deaf", repository_url=shop.url))
    delivery = shop.push(files={"src/x": "1"})
    deciding.decide(delivery.pk)
    found = {one.project.slug: one for one in Decision.objects.all()}
    assert set(found) == {"shop", "api", "deaf"}
    assert [found[name].build is not None for name in ("shop", "api", "deaf")] == [True, False, False]
    assert "switched off" in found[deaf.slug].sentence


def test_the_sites_secret_decides_nothing_where_the_address_is_not_allotted(shop: Shop) -> None:
    """Anybody may name any repository in a project's settings; its pushes are told only to those who may have its address."""
    curious = make.make_project(slug="curious", name="Curious", repository_url=shop.url)
    BuildSettings.objects.create(project=curious, on_push=True)
    assert decided(shop.push()).project == shop.project
    Allotment.objects.all().delete()
    delivery = shop.push()
    deciding.decide(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.decisions.count()) == ("decided", 0)
    assert "is not allotted to Shop, Curious" in delivery.sentence


def test_what_a_projects_own_secret_signed_never_becomes_the_sites(shop: Shop) -> None:
    gone = make.make_project(repository_url=shop.url)
    delivery = shop.push()
    Delivery.objects.filter(pk=delivery.pk).update(signers=[gone.pk], signed_by=gone)
    gone.delete()
    deciding.decide(delivery.pk)
    assert not Decision.objects.exists()


def test_each_decision_tells_the_page_of_deliveries(shop: Shop) -> None:
    shop.set_rules(branches=["release/*"])
    delivery = shop.push()
    Change.objects.all().delete()
    assert decided(delivery).verdict == "no_build"
    assert Change.objects.filter(project=changes.mark_of(changes.DELIVERIES)).exists()


def test_a_later_push_to_a_branch_of_the_same_name_elsewhere_is_no_later_push(shop: Shop) -> None:
    """Owner and name are written in the body; another host may have the same ones."""
    older = shop.push()
    deliver(shop.client, push_body("https://git.example/acme/shop.git"))
    Delivery.objects.exclude(pk=older.pk).update(state="decided")
    build = decided(older).build
    assert build is not None
    assert SeenBranch.objects.get(ref="refs/heads/main").head == build.revision


def test_a_repository_of_no_project_is_said(shop: Shop) -> None:
    deliver(shop.client, push_body("https://github.com/acme/other.git"))
    row = Delivery.objects.get()
    deciding.decide(row.pk)
    row.refresh_from_db()
    said = "No project of the portal has the repository acme/shop, or it is archived."
    assert (row.state, row.sentence) == ("decided", said)


@pytest.mark.parametrize(
    ("event", "content", "word"),
    [("ping", {"hook": {"events": ["push"]}}, "the webhook works"), ("ping", {"hook": {"events": ["star"]}}, "sends no pushes"),
     ("ping", {}, "works"), ("pull_request", {"number": 3}, "Pull requests"), ("create", {"ref": "x"}, "A push tells"),
     ("star", {}, "Nothing follows")],
)  # fmt: skip
def test_other_events_get_a_sentence(shop: Shop, event: str, content: Any, word: str) -> None:
    deliver(shop.client, content, event=event)
    row = Delivery.objects.get()
    deciding.decide(row.pk)
    row.refresh_from_db()
    assert row.state == "decided"
    assert word in row.sentence


def test_the_same_revision_pushed_again_is_not_built_again(shop: Shop) -> None:
    first = decided(shop.push())
    assert first.build is not None
    again = decided(shop.tell("a" * 40, first.build.revision))
    assert again.build == first.build
    assert again.sentence == f"Build {first.build.number} builds {first.build.short}."
    Build.objects.update(state=State.SUCCEEDED)
    assert "has built" in decided(shop.tell("a" * 40, first.build.revision)).sentence
    Build.objects.update(state=State.FAILED)
    assert decided(shop.tell("a" * 40, first.build.revision)).build != first.build


def test_a_project_without_an_image_is_said(shop: Shop) -> None:
    shop.project.images.all().delete()
    assert "no image that is built here" in decided(shop.push()).sentence


# Newest wins


def test_of_many_pushes_the_newest_is_built(shop: Shop) -> None:
    deliveries = [shop.push(f"Change {n}") for n in range(6)]
    for one in deliveries:
        deciding.decide(one.pk)
    builds = list(Build.objects.order_by("number"))
    assert [one.state for one in builds] == ["superseded"] * 5 + ["queued"]
    assert builds[0].superseded_by == builds[1]
    assert builds[0].result == (
        f"main has moved on to {builds[1].short}, which build #{builds[1].number} builds."
    )


def test_the_newest_wins_in_whatever_order_deliveries_are_decided(shop: Shop) -> None:
    deliveries = [shop.push(f"Change {n}") for n in range(4)]
    for place in (2, 0, 3, 1):
        deciding.decide(deliveries[place].pk)
    (left,) = Build.objects.filter(state="queued")
    assert left.delivery == deliveries[3]
    assert SeenBranch.objects.get().head == left.revision


def test_only_queued_builds_of_the_same_branch_that_pushes_led_to_give_way(shop: Shop) -> None:
    shop.set_rules(branches=["*"])
    running = decided(shop.push("Running")).build
    asked = decided(shop.push("Asked for")).build
    assert running
    assert asked
    Build.objects.filter(pk=running.pk).update(state=State.RUNNING)
    Build.objects.filter(pk=asked.pk).update(cause=Build.Cause.PERSON, state=State.QUEUED)
    shop.origin.git("checkout", "-q", "-b", "other")
    elsewhere = decided(shop.push("Other branch", ref="refs/heads/other")).build
    shop.origin.git("checkout", "-q", "main")
    newest = decided(shop.push("Newest")).build
    assert elsewhere
    assert newest
    states = dict(Build.objects.values_list("pk", "state"))
    assert [states[one.pk] for one in (running, asked, elsewhere, newest)] == [
        "running",
        "queued",
        "queued",
        "queued",
    ]


# Git that does not answer


def test_git_that_does_not_answer_puts_the_decision_off(shop: Shop) -> None:
    delivery = shop.push()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "fetched", _down)
        deciding.decide(delivery.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("waiting", 1)
    assert "does not answer" in delivery.sentence
    assert not Decision.objects.exists()
    assert decided(delivery).build is not None


def _down(*_: Any, **__: Any) -> Any:
    from adapters.errors import Unavailable

    raise Unavailable("git.example does not answer.", system="Git")


def test_the_pauses_between_tries_grow(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery, asked = shop.push(), []
    monkeypatch.setattr(deciding, "enqueue", lambda name, pk, **_: asked.append(pk))
    Delivery.objects.update(tries=5, decided_at=timezone.now())
    with time_machine.travel(timezone.now() + deciding.LONGEST_PAUSE / 2, tick=False):
        deciding.work_on_waiting()
    assert asked == []
    with time_machine.travel(timezone.now() + deciding.LONGEST_PAUSE * 2, tick=False):
        deciding.work_on_waiting()
    assert asked == [delivery.pk]


def test_an_error_of_the_portal_is_tried_with_pauses_and_not_for_ever(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise JobTimeoutException("Task exceeded maximum timeout value")

    delivery = shop.push()
    monkeypatch.setattr(deciding, "judge_push", broken)
    for tries in range(1, deciding.MOST_TRIES + 1):
        with pytest.raises(JobTimeoutException):
            deciding.decide(delivery.pk)
        delivery.refresh_from_db()
        assert delivery.tries == tries
        assert delivery.state == ("failed" if tries == deciding.MOST_TRIES else "waiting")
    assert delivery.sentence == "An error of the portal; its log has more."


def test_deliveries_that_pause_keep_back_no_later_one(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(deciding, "enqueue", lambda name, pk, **_: asked.append(pk))
    monkeypatch.setattr(deciding, "PER_ROUND", 2)
    paused = [shop.push().pk for _ in range(3)]
    Delivery.objects.filter(pk__in=paused).update(tries=9, decided_at=timezone.now())
    lost = [shop.push().pk for _ in range(3)]
    with time_machine.travel(timezone.now() + deciding.SHORTEST_PAUSE * 2, tick=False):
        deciding.work_on_waiting()
    assert asked == lost[:2]


def test_after_the_last_try_it_has_failed_and_says_why(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    delivery = shop.push()
    Delivery.objects.update(tries=deciding.MOST_TRIES - 1)
    monkeypatch.setattr(judging, "fetched", _down)
    deciding.decide(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert "does not answer" in Decision.objects.get().sentence
    assert not SeenBranch.objects.exists()  # the look at Git makes up for it


@pytest.mark.parametrize("kind", [Denied, Unavailable])
def test_a_project_whose_git_fails_keeps_back_no_other(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, kind: type[ExternalError]
) -> None:
    """Another project may name the same repository by an address that never answers."""
    other = make.with_address(make.make_project(slug="other", repository_url=shop.url))
    make.make_image(other, name="x")
    BuildSettings.objects.create(project=other, on_push=True)
    usual = judging.fetched

    def refuses(project: Any, *given: Any) -> Any:
        if project == other:
            raise kind("The host refused the credential.", system="Git")
        return usual(project, *given)

    monkeypatch.setattr(judging, "fetched", refuses)
    delivery = shop.push()
    deciding.decide(delivery.pk)
    found = {one.project.slug: one for one in Decision.objects.all()}
    assert found["shop"].build is not None
    assert "refused the credential" in found["other"].sentence
    delivery.refresh_from_db()
    assert delivery.state == "failed"


# Forgetting


def test_deliveries_are_forgotten_after_ninety_days_and_their_builds_stay(shop: Shop) -> None:
    build = decided(shop.push()).build
    young = shop.push("Young")
    Delivery.objects.exclude(pk=young.pk).update(received_at="2020-01-01T00:00:00Z")
    forget_old()
    assert list(Delivery.objects.all()) == [young]
    assert build is not None
    build.refresh_from_db()
    assert build.delivery is None
