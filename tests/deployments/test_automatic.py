"""A rule deploys green builds: the newest, once, and never over what people did later."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from adapters.errors import Unavailable
from adapters.git.repository import Commit
from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from builds.kind import BUILD
from builds.models import Build
from deployments import jobs
from deployments.gate import automatic, requests, revisions
from deployments.gate.life import LIFE
from deployments.models import AutomaticChoice, BranchState, Deploy, Release
from notify.models import Outgoing
from projects import services
from projects.models import Environment, Role
from projects.policies import with_policies
from runs.life.claim import claim
from runs.models import State
from tests.deployments.conftest import FakeGit, Outside
from tests.deployments.test_races import all_at_once
from tests.factories import grant, make_deploy, make_environment, make_release, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now
SHAS = [letter * 40 for letter in "abcdef"]


@pytest.fixture(autouse=True)
def git(monkeypatch, pushed):
    """The repository knows the commits a… to f…."""
    known = [Commit(sha, f"Change {sha[0]}", "Ana", NOW()) for sha in SHAS]
    world = Outside(known, {})
    monkeypatch.setattr(revisions, "git_repository", lambda project: FakeGit(world))
    return world


@pytest.fixture
def ruled(environment) -> Environment:
    """The environment deploys green builds of main, since an hour."""
    since = (NOW() - timedelta(hours=1)).isoformat()
    environment.policies = {"auto_deploy": "main", "auto_deploy_since": since}
    environment.save()
    return environment


def build(environment, sha, *, branch="main", state=State.SUCCEEDED, ago=60.0, **fields) -> Build:
    """A build that ended some seconds ago."""
    from runs.life.opening import next_number

    return Build.objects.create(
        number=next_number(BUILD), project=environment.project, revision=sha, branch=branch, state=state,
        ended_at=NOW() - timedelta(seconds=ago), actor_kind="system", actor_text="push", **fields,
    )  # fmt: skip


def decide(environment) -> list[Deploy]:
    automatic.decide(environment.pk)
    return list(Deploy.objects.filter(actor_id=f"rule-{environment.pk}").order_by("number"))


def said(environment) -> str:
    return AutomaticChoice.objects.filter(environment=environment).latest("pk").sentence


# --- what is deployed -----------------------------------------------------------------------------------------------------


def test_a_green_build_is_deployed_as_the_rule(ruled, pushed, django_capture_on_commit_callbacks) -> None:
    made = build(ruled, SHAS[0])
    with django_capture_on_commit_callbacks(execute=True):
        automatic.look()
    assert [list(ids) for ids in pushed] == [[ruled.pk]]
    with django_capture_on_commit_callbacks(execute=True):
        (deploy,) = decide(ruled)
    assert (deploy.revision, deploy.kind, deploy.state) == (SHAS[0], "deploy", State.QUEUED)
    assert (deploy.actor_kind, deploy.actor_text) == ("system", "rule: staging deploys main")
    assert deploy.reason == f"Build #{made.number} succeeded."
    assert [str(deploy.run_id), 1] in [list(ids) for ids in pushed]
    event = AuditEvent.objects.get(verb="deploy.requested")
    assert event.actor_text == "rule: staging deploys main"
    choice = automatic.last_choice(ruled)
    assert (choice.build, choice.deploy, choice.sentence) == (made, deploy, "")


def test_a_commit_that_the_branch_lost_is_not_deployed(ruled, git) -> None:
    """After a forced push, or once the branch is deleted."""
    build(ruled, SHAS[0])
    git.left = {SHAS[0]}
    assert decide(ruled) == []
    assert "The branch main does not have aaaaaaa any more" in said(ruled)


def test_one_try_per_build(ruled) -> None:
    build(ruled, SHAS[0])
    (deploy,) = decide(ruled)
    Deploy.objects.filter(pk=deploy.pk).update(state=State.FAILED, ended_at=NOW())
    assert decide(ruled) == [deploy]
    assert automatic.candidate(ruled) is None


def test_a_rebuild_of_what_failed_is_not_deployed_again(ruled) -> None:
    build(ruled, SHAS[0])
    (deploy,) = decide(ruled)
    Deploy.objects.filter(pk=deploy.pk).update(state=State.FAILED, ended_at=NOW())
    build(ruled, SHAS[0], cause="rebuild", ago=0)
    assert len(decide(ruled)) == 1
    assert (
        said(ruled)
        == f"aaaaaaa was asked for here before, by rule: staging deploys main (deploy #{deploy.number})."
    )


def test_a_try_that_ended_before_its_note_is_noted_later(ruled, monkeypatch) -> None:
    made = build(ruled, SHAS[0])
    (deploy,) = decide(ruled)
    AutomaticChoice.objects.all().delete()
    assert decide(ruled) == [deploy]
    assert automatic.last_choice(ruled).deploy == deploy
    assert automatic.last_choice(ruled).build == made


@pytest.mark.parametrize(
    ("branch", "state", "ago"),
    [
        ("feature", State.SUCCEEDED, 60),
        ("maintenance", State.SUCCEEDED, 60),
        ("main", State.FAILED, 60),
        ("main", State.ERRORED, 60),
        ("main", State.SUPERSEDED, 60),
        ("main", State.SUCCEEDED, 7200),  # before the rule was in force
        ("", State.SUCCEEDED, 60),  # of no branch that is known
    ],
)
def test_what_is_not_meant(ruled, branch, state, ago) -> None:
    build(ruled, SHAS[0], branch=branch, state=state, ago=ago)
    assert decide(ruled) == []
    assert not AutomaticChoice.objects.exists()


def test_patterns_of_branches(ruled) -> None:
    ruled.policies["auto_deploy"] = "release/*"
    ruled.save()
    build(ruled, SHAS[0], branch="release/2.1")
    build(ruled, SHAS[1], branch="main")
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0]]


def test_a_build_of_another_tool_belongs_to_the_branch_that_has_it(ruled) -> None:
    BranchState.objects.create(
        project=ruled.project, branch="main", head=SHAS[0], commits=[[SHAS[0], "", "", ""]]
    )
    build(ruled, SHAS[0], branch="", cause="report")
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0]]


def test_a_build_that_took_up_another_branch_or_was_its_head(ruled) -> None:
    ruled.policies["auto_deploy"] = "release/*"
    ruled.save()
    build(ruled, SHAS[0], also_for=["refs/heads/release/1"])
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0]]
    build(
        ruled, SHAS[1], branch="", cause="report", tagged_for=["refs/heads/release/2", "refs/tags/release/3"]
    )
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0], SHAS[1]]
    build(ruled, SHAS[2], tagged_for=["refs/tags/release/3"])  # a tag is no branch
    assert len(decide(ruled)) == 2


def test_an_earlier_build_of_another_branch_makes_a_revision_no_older(ruled) -> None:
    ruled.policies["auto_deploy"] = "release/*"
    ruled.save()
    build(ruled, SHAS[1])  # of main, before release/1 had it
    build(ruled, SHAS[0], branch="release/1")
    decide(ruled)
    build(ruled, SHAS[1], branch="release/1")
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0], SHAS[1]]


def test_the_number_of_queries_does_not_grow(ruled, django_assert_num_queries) -> None:
    commits = [[sha, "", "", ""] for sha in SHAS]
    BranchState.objects.create(project=ruled.project, branch="main", head=SHAS[0], commits=commits)
    build(ruled, SHAS[0], branch="", cause="report")
    with django_assert_num_queries(5):
        assert automatic.candidate(ruled) is not None
    for n in range(60):
        build(ruled, SHAS[n % 6], branch="", cause="report")
    with django_assert_num_queries(5):
        assert automatic.candidate(ruled) is not None


def test_old_choices_are_forgotten_but_for_those_that_still_decide(ruled, monkeypatch) -> None:
    monkeypatch.setattr(automatic, "LOOKED_AT", 3)
    made = [build(ruled, SHAS[n]) for n in range(6)]
    order = [
        made[1],
        made[2],
        made[3],
        made[4],
        made[5],
        made[0],
    ]  # the last one shown is of the oldest build
    for one in order:
        automatic.note(ruled, one, why_not="Not now.")
    automatic.forget_old()
    assert AutomaticChoice.objects.count() == 6
    AutomaticChoice.objects.update(made_at=NOW() - timedelta(days=91))
    automatic.forget_old()
    left = set(AutomaticChoice.objects.values_list("build", flat=True))
    assert left == {made[0].pk, made[3].pk, made[4].pk, made[5].pk}
    assert automatic.candidate(ruled) is None


def test_of_several_only_the_newest(ruled) -> None:
    for sha in SHAS[:3]:
        build(ruled, sha)
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[2]]
    assert decide(ruled)[-1].revision == SHAS[2]
    assert Deploy.objects.count() == 1


def test_without_a_rule_nothing_happens(environment) -> None:
    build(environment, SHAS[0])
    automatic.look()
    assert decide(environment) == []
    assert decide(type("Gone", (), {"pk": 0})) == []


# --- people go first ------------------------------------------------------------------------------------------------------


def by_person(environment, user, sha, **fields) -> Deploy:
    return make_deploy(
        environment, fields.pop("state", State.SUCCEEDED), revision=sha, actor_kind="person", actor_id=str(user.pk),
        actor_text=user.username, ended_at=NOW(), **fields,
    )  # fmt: skip


def test_a_rollback_by_a_person_stays_until_a_newer_build_is_green(ruled, deployer) -> None:
    build(ruled, SHAS[0])
    decide(ruled)
    build(ruled, SHAS[1], ago=5)  # green, but not yet looked at
    by_person(ruled, deployer, SHAS[5], kind="rollback")
    assert len(decide(ruled)) == 1
    assert "after the build had succeeded" in said(ruled)
    build(ruled, SHAS[1], ago=-1, cause="rebuild")  # green again: not newer than what was asked for
    build(ruled, SHAS[2], ago=-2)
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0], SHAS[2]]


def test_a_deploy_by_the_command_line_counts_as_a_persons(ruled) -> None:
    build(ruled, SHAS[0], ago=5)
    requests.request_deploy(SYSTEM_ACTOR, environment=ruled, revision=SHAS[5])
    assert decide(ruled) == []
    assert "after the build had succeeded" in said(ruled)


def test_a_rollback_that_followed_a_failure_by_itself_stops_nothing(ruled) -> None:
    build(ruled, SHAS[0])
    (failed,) = decide(ruled)
    Deploy.objects.filter(pk=failed.pk).update(state=State.FAILED)
    build(ruled, SHAS[1], ago=5)
    make_deploy(
        ruled, State.SUCCEEDED, kind="rollback", undoes=failed, revision=SHAS[5], actor_kind="system", actor_id="",
        actor_text="system",
    )  # fmt: skip
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[0], SHAS[1]]


def test_a_revision_that_a_person_has_deployed_already(ruled, deployer) -> None:
    by_person(ruled, deployer, SHAS[0])
    build(ruled, SHAS[0], ago=-5)
    assert decide(ruled) == []
    assert said(ruled).startswith("aaaaaaa was asked for here before, by dev")


def test_what_is_marked_bad_is_left_alone(ruled) -> None:
    make_release(
        ruled, revision=SHAS[0], verified_at=NOW(), marked_bad_by="dora", bad_reason="It loses carts."
    )
    build(ruled, SHAS[0])
    assert decide(ruled) == []
    told = "dora marked the release of aaaaaaa as bad: It loses carts."
    assert said(ruled) == f"{told} The rule leaves it to people."
    assert Release.objects.count() == 1


def test_a_mark_or_a_failure_elsewhere_is_left_to_people(ruled) -> None:
    """Nobody can ask a rule whether it means it."""
    other = make_environment(ruled.project, name="Quality")
    make_release(
        other, revision=SHAS[0], verified_at=NOW(), marked_bad_by="dora", bad_reason="It loses carts."
    )
    build(ruled, SHAS[0])
    assert decide(ruled) == []
    left = "The rule leaves it to people."
    assert said(ruled) == f"dora marked the release of aaaaaaa as bad in Quality: It loses carts. {left}"

    release = make_release(other, revision=SHAS[1])
    failed = make_deploy(other, State.FAILED, revision=SHAS[1], release=release, result="web crashed")
    build(ruled, SHAS[1], ago=30)
    assert decide(ruled) == []
    assert said(ruled) == f"It failed in Quality (deploy #{failed.number}): web crashed. {left}"

    build(ruled, SHAS[2], ago=10)
    assert [deploy.revision for deploy in decide(ruled)] == [SHAS[2]]


@pytest.mark.parametrize("knows_branch", [True, False])
def test_a_build_of_an_older_commit_takes_nothing_back(ruled, deployer, knows_branch) -> None:
    """A commit between two that were deployed, built by a person later."""
    if knows_branch:
        commits = [[sha, "", "", ""] for sha in (SHAS[1], SHAS[0])]  # newest first
        BranchState.objects.create(project=ruled.project, branch="main", head=SHAS[1], commits=commits)
        build(ruled, SHAS[1])
        decide(ruled)
        build(ruled, SHAS[0], cause="person")
    else:
        build(ruled, SHAS[0], state=State.FAILED)
        build(ruled, SHAS[1])
        decide(ruled)
        build(ruled, SHAS[0], cause="retry", ago=-5)
        Build.objects.filter(revision=SHAS[1]).update(ended_at=NOW() - timedelta(hours=3))
    decide(ruled)
    assert [deploy.revision for deploy in Deploy.objects.all()] == [SHAS[1]]
    assert said(ruled).startswith("aaaaaaa is older than bbbbbbb, which was asked for with deploy #")


def test_a_commit_that_is_gone(ruled, git) -> None:
    build(ruled, "9" * 40)
    assert decide(ruled) == []
    assert "no revision" in said(ruled)


def test_a_git_that_is_down_is_asked_again(ruled, monkeypatch) -> None:
    def down(*_):
        raise Unavailable("Git does not answer.", system="Git")

    build(ruled, SHAS[0])
    monkeypatch.setattr(revisions, "resolve", down)
    jobs.deploy_green(ruled.pk)
    assert not AutomaticChoice.objects.exists()
    monkeypatch.undo()


# --- waiting in line ------------------------------------------------------------------------------------------------------


def test_a_newer_build_supersedes_a_deploy_that_waits(ruled) -> None:
    build(ruled, SHAS[0])
    build(ruled, SHAS[0], branch="feature")
    (first,) = decide(ruled)
    build(ruled, SHAS[1])
    first, second = decide(ruled)
    assert (first.state, second.state) == (State.SUPERSEDED, State.QUEUED)
    assert first.result == f"A newer green build took its place before it started: deploy #{second.number}."
    assert first.ended_at is not None
    event = AuditEvent.objects.get(verb="deploy.ended")
    assert event.data["state"] == "superseded"
    assert not Outgoing.objects.exists()


def test_what_runs_or_was_asked_for_by_people_is_not_superseded(ruled, deployer) -> None:
    build(ruled, SHAS[0])
    (first,) = decide(ruled)
    assert claim(LIFE, first.run_id, 1) is not None
    waits = requests.request_deploy(person(deployer), environment=ruled, revision=SHAS[5]).deploy
    build(ruled, SHAS[1], ago=-5)
    decide(ruled)
    states = dict(Deploy.objects.values_list("revision", "state"))
    assert states == {SHAS[0]: "running", SHAS[5]: "queued", SHAS[1]: "queued"}
    waits.refresh_from_db()
    assert waits.state == State.QUEUED


def test_a_superseding_that_was_cut_short_is_made_up_for(
    ruled, pushed, django_capture_on_commit_callbacks
) -> None:
    rule = automatic.rule_of(ruled)
    old, new = (
        make_deploy(
            ruled, State.QUEUED, revision=sha, actor_kind=rule.kind, actor_id=rule.id, actor_text=rule.text
        )
        for sha in SHAS[:2]
    )
    with django_capture_on_commit_callbacks(execute=True):
        automatic.look()
    assert [list(ids) for ids in pushed] == [[ruled.pk]]
    decide(ruled)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (old.state, new.state) == (State.SUPERSEDED, State.QUEUED)


# --- the rule as a setting ------------------------------------------------------------------------------------------------


def change(environment, actor, pattern) -> Environment:
    return services.change_environment(
        actor, environment=environment, edited=environment.edited, auto_deploy=pattern
    )


def test_the_rule_is_a_policy_with_an_audit_of_before_and_after(environment) -> None:
    maintainer = make_user("mara")
    grant(maintainer, Role.MAINTAINER, environment.project)
    before = NOW()
    changed = change(environment, person(maintainer), " main ")
    assert changed.auto_deploy == "main"
    assert before <= changed.auto_deploy_since <= NOW()
    event = AuditEvent.objects.filter(verb="environment.changed").latest("pk")
    assert event.data["policies"]["auto_deploy"] == {"before": False, "after": "main"}
    since = changed.auto_deploy_since
    same = services.change_environment(
        person(maintainer), environment=changed, edited=changed.edited, auto_deploy="main", name="Stage"
    )
    assert same.auto_deploy_since == since
    other = change(same, person(maintainer), "release/*")
    assert other.auto_deploy_since > since
    off = change(other, person(maintainer), "")
    assert (off.auto_deploy, off.auto_deploy_since, off.policies) == ("", None, {})
    event = AuditEvent.objects.filter(verb="environment.changed").latest("pk")
    assert event.data["policies"]["auto_deploy"] == {"before": "release/*", "after": False}


@pytest.mark.django_db(transaction=True)
def test_many_ticks_at_once_ask_for_one_deploy(ruled) -> None:
    made = [build(ruled, sha) for sha in SHAS[:2]]
    all_at_once(6, lambda _: automatic.decide(ruled.pk))
    assert [deploy.revision for deploy in Deploy.objects.all()] == [SHAS[1]]
    assert AutomaticChoice.objects.get().build == made[1]
    build(ruled, SHAS[2])
    all_at_once(6, lambda _: automatic.decide(ruled.pk))
    assert list(Deploy.objects.order_by("number").values_list("state", flat=True)) == ["superseded", "queued"]
    assert AuditEvent.objects.filter(verb="deploy.ended").count() == 1


@pytest.mark.parametrize("pattern", ["a b", "-main", "main~1", "x" * 91, "[ab]", "main?", "../main"])
def test_what_is_no_pattern(pattern) -> None:
    with pytest.raises(ValidationError, match="pattern with"):
        with_policies({"auto_deploy": pattern}, {})


def test_the_pages_say_the_rule_and_what_it_did_last(ruled, client) -> None:
    maintainer = make_user("mara")
    grant(maintainer, Role.MAINTAINER, ruled.project)
    client.force_login(maintainer)
    page = f"/projects/{ruled.project.slug}/{ruled.slug}/"
    assert "deploys green builds of <code>main</code>" in client.get(page).content.decode()
    made = build(ruled, SHAS[0])
    (deploy,) = decide(ruled)
    text = client.get(page).content.decode()
    assert f'Last: build <a href="/builds/{made.number}/">#{made.number}</a> of aaaaaaa' in text
    assert f'href="/deploys/{deploy.number}/"' in text
    build(ruled, SHAS[1])
    decide(ruled)
    text = client.get(f"/deploys/{deploy.number}/").content.decode()
    assert "A newer green build took its place" in text
    assert (
        'value="main"'
        in client.get(f"/projects/{ruled.project.slug}/settings/environments/{ruled.slug}/").content.decode()
    )
