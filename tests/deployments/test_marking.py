"""Marking a release as bad: who may, what it changes, and who is warned."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from audit import verbs
from audit.actors import person
from audit.models import AuditEvent
from core.errors import Refused, status_of
from deployments.gate import marking, requests
from deployments.models import Deploy, Release
from projects.models import Role
from runs.models import State
from tests.factories import grant, make_deploy, make_environment, make_release, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now


@pytest.fixture
def good(environment):
    """A deploy that succeeded, with a verified release."""
    release = make_release(environment, verified_at=NOW(), place=environment.place)
    return make_deploy(environment, release=release, revision=release.revision)


@pytest.fixture
def live(environment, good):
    """A newer one that runs now."""
    release = make_release(environment, verified_at=NOW(), place=environment.place, revision="b" * 40)
    return make_deploy(environment, release=release, revision=release.revision)


@pytest.fixture
def press(client, deployer):
    client.force_login(deployer)
    return lambda address, **fields: client.post(
        address, fields, headers={"accept": "text/html"}, follow=True
    )


@pytest.fixture
def visit(client, deployer):
    client.force_login(deployer)
    return lambda address: client.get(address).content.decode()


def mark(user, deploy, reason="Prices are wrong."):
    return marking.mark_bad(person(user), deploy=Deploy.objects.get(pk=deploy.pk), reason=reason)


def unmark(user, deploy):
    return marking.unmark(person(user), deploy=Deploy.objects.get(pk=deploy.pk))


class TestTheMark:
    def test_who_when_and_why_and_back_again(self, deployer, good):
        assert mark(deployer, good)
        release = Release.objects.get()
        assert (release.marked_bad_by, release.bad_reason) == ("dev", "Prices are wrong.")
        assert release.marked_bad_at is not None
        assert unmark(deployer, good)
        release.refresh_from_db()
        assert (release.marked_bad_by, release.bad_reason, release.marked_bad_at) == ("", "", None)
        events = list(AuditEvent.objects.order_by("id"))
        assert [event.verb for event in events] == ["release.marked_bad", "release.unmarked"]
        assert {event.target_id for event in events} == {str(good.number)}
        assert events[0].data["reason"] == "Prices are wrong."
        assert events[1].data["mark"] == {"before": "dev: Prices are wrong.", "after": ""}
        assert all(verbs.words(event.verb) != event.verb for event in events)

    def test_twice_is_once_and_the_first_reason_stays(self, deployer, good):
        assert [mark(deployer, good), mark(deployer, good, "another")] == [True, False]
        assert Release.objects.get().bad_reason == "Prices are wrong."
        assert [unmark(deployer, good), unmark(deployer, good)] == [True, False]
        assert AuditEvent.objects.count() == 2

    def test_maintainers_may_too(self, environment, good):
        lead = make_user("lead")
        grant(lead, Role.MAINTAINER, environment.project)
        assert mark(lead, good)

    def test_a_viewer_may_neither(self, viewer, deployer, good):
        with pytest.raises(Refused, match="deployer"):
            mark(viewer, good)
        mark(deployer, good)
        with pytest.raises(Refused, match="deployer"):
            unmark(viewer, good)
        assert Release.objects.get().is_bad

    @pytest.mark.parametrize("reason", ["", "   "])
    def test_it_needs_a_reason(self, deployer, good, reason):
        with pytest.raises(Refused, match="why"):
            mark(deployer, good, reason)

    def test_what_was_never_verified_needs_no_mark(self, environment, deployer):
        failed = make_deploy(environment, State.FAILED, release=make_release(environment))
        for deploy in (failed, make_deploy(environment, State.FAILED)):
            with pytest.raises(Refused, match="never verified"):
                mark(deployer, deploy)
            assert not unmark(deployer, deploy)

    def test_what_a_revision_is_warned_of(self, environment, deployer, good):
        assert marking.bad_release_of(environment, good.revision) is None
        mark(deployer, good)
        found = marking.bad_release_of(environment, good.revision)
        assert marking.warning(found) == "dev marked the release of aaaaaaa as bad: Prices are wrong."
        assert marking.bad_release_of(make_environment(environment.project), good.revision) is None
        make_release(environment, verified_at=NOW())  # the same commit, verified again since
        assert marking.bad_release_of(environment, good.revision) is None


class TestThePages:
    def test_a_deployer_marks_with_a_reason_and_takes_it_back(self, good, press, visit):
        assert "Mark this release as bad" in visit(f"/deploys/{good.number}/")
        page = press(f"/deploys/{good.number}/bad/", reason="Prices are <b>wrong</b>.").content.decode()
        assert "<b>dev marked this release as bad</b>" in page
        assert "Prices are &lt;b&gt;wrong&lt;/b&gt;." in page
        assert "Mark this release as bad" not in page
        page = press(f"/deploys/{good.number}/not-bad/").content.decode()
        assert "The mark is gone" in page
        assert "Mark this release as bad" in page

    def test_without_a_reason_nothing_is_marked(self, good, press):
        assert "Say why the release is bad." in press(f"/deploys/{good.number}/bad/").content.decode()
        assert not Release.objects.get().is_bad

    def test_again_is_no_error(self, good, press):
        for words in ("is marked as bad:", "was marked as bad already"):
            assert words in press(f"/deploys/{good.number}/bad/", reason="x").content.decode()
        for words in ("The mark is gone", "was not marked"):
            assert words in press(f"/deploys/{good.number}/not-bad/").content.decode()

    def test_a_viewer_sees_the_mark_and_no_buttons(self, viewer, deployer, good, client):
        mark(deployer, good)
        client.force_login(viewer)
        page = client.get(f"/deploys/{good.number}/").content.decode()
        assert "marked this release as bad" in page
        assert "/not-bad/" not in page
        unmark(deployer, good)
        assert "/bad/" not in client.get(f"/deploys/{good.number}/").content.decode()

    def test_a_failed_release_offers_no_mark(self, environment, visit):
        failed = make_deploy(environment, State.FAILED, release=make_release(environment), ended_at=NOW())
        assert "Mark this release as bad" not in visit(f"/deploys/{failed.number}/")

    def test_lists_show_it(self, environment, deployer, good, visit):
        addresses = (
            "/deploys/",
            f"/projects/{environment.project.slug}/",
            f"/projects/{environment.project.slug}/staging/",
        )
        assert not any("thumbs-down" in visit(address) or ">bad<" in visit(address) for address in addresses)
        mark(deployer, good)
        for address in addresses:
            page = visit(address)
            assert "dev marked the release of aaaaaaa as bad: Prices are wrong." in page, address
            assert "bad</span>" in page, address

    def test_of_what_is_live_and_bad_the_way_back_is_offered(self, deployer, good, live, visit):
        mark(deployer, live)
        assert f'action="/deploys/{good.number}/rollback/"' in visit(f"/deploys/{live.number}/")


class TestUsingItAllTheSame:
    def test_rolling_back_to_it_needs_the_box(self, deployer, good, live, press, visit, pushed):
        mark(deployer, good)
        page = visit(f"/deploys/{good.number}/")
        assert 'name="although_bad" required' in page
        page = press(f"/deploys/{good.number}/rollback/", key="k").content.decode()
        assert "Tick the box to use it all the same. Nothing was started." in page
        assert not Deploy.objects.filter(kind="rollback").exists()
        press(f"/deploys/{good.number}/rollback/", key="k", although_bad="on")
        assert Deploy.objects.get(kind="rollback").release == good.release

    def test_the_gate_holds_for_who_has_no_form(self, environment, deployer, good, live, pushed):
        mark(deployer, good)
        target = Deploy.objects.get(pk=good.pk)
        with pytest.raises(Refused, match="marked bad by dev"):
            requests.request_rollback(person(deployer), environment=environment, target=target)

    def test_the_box_opens_no_other_door(self, environment, deployer, good, live, pushed):
        unverified = make_deploy(environment, release=make_release(environment))
        with pytest.raises(Refused, match="no verified release"):
            requests.request_rollback(
                person(deployer), environment=environment, target=unverified, although_bad=True
            )

    def test_deploying_it_again_needs_the_box(
        self, environment, deployer, good, live, press, visit, pushed, commits
    ):
        revision = commits["older"].sha
        Release.objects.filter(pk=good.release_id).update(revision=revision)
        Deploy.objects.filter(pk=good.pk).update(revision=revision)
        assert "although_bad" not in visit(f"/deploys/{good.number}/")
        mark(deployer, good)
        assert 'name="although_bad" required' in visit(f"/deploys/{good.number}/")
        page = press(f"/deploys/{good.number}/again/", key="k").content.decode()
        assert "Tick the box to use it all the same. Nothing was started." in page
        assert not Deploy.objects.filter(state=State.QUEUED).exists()
        press(f"/deploys/{good.number}/again/", key="k", although_bad="on")
        assert Deploy.objects.get(state=State.QUEUED).revision == revision

    def test_the_preview_warns_and_its_button_needs_the_box(
        self, environment, deployer, good, press, visit, pushed, outside
    ):
        """Also when the preview was kept from before the mark."""
        address = f"/projects/{environment.project.slug}/staging/deploy/"
        look = f"{address}?revision={'a' * 40}&see=1"
        assert "although_bad" not in visit(look)
        mark(deployer, good)
        page = visit(look)
        assert page.count("dev marked the release of aaaaaaa as bad: Prices are wrong.") == 2
        assert 'name="although_bad" required' in page
        answer = press(address, revision="a" * 40, reason="", key="k")
        assert answer.status_code == 422
        assert "Confirm that it is to be deployed all the same" in answer.content.decode()
        assert not Deploy.objects.filter(state=State.QUEUED).exists()
        press(address, revision="a" * 40, reason="", key="k", although_bad="on")
        assert Deploy.objects.get(state=State.QUEUED).revision == "a" * 40


@pytest.mark.parametrize("name", ["older", "2" * 40, "2" * 7])
def test_the_gate_asks_by_whatever_name_the_commit_was_given(
    environment, deployer, good, pushed, commits, name
):
    """A branch, a whole and a short hash: page, command line and API ask the same function."""
    revision = commits["older"].sha
    Release.objects.filter(pk=good.release_id).update(revision=revision)
    actor = person(deployer)
    mark(deployer, good)
    with pytest.raises(Refused) as refusal:
        requests.request_deploy(actor, environment=environment, revision=name)
    assert refusal.value.code == "bad-release"
    assert status_of(refusal.value) == 409
    assert "Prices are wrong" in refusal.value.message
    assert not Deploy.objects.filter(state=State.QUEUED).exists()
    made = requests.request_deploy(actor, environment=environment, revision=name, although_bad=True)
    assert made.deploy.revision == revision


def test_the_command_line_asks_too(environment, deployer, good, pushed, commits, capsys):
    """It refuses with exit status 2 until it is confirmed; then it warns on stderr, beside its JSON."""
    revision = commits["older"].sha
    Release.objects.filter(pk=good.release_id).update(revision=revision)
    mark(deployer, good)
    place = (environment.project.slug, "staging")
    with pytest.raises(CommandError, match="--although-bad") as refusal:
        call_command("deploy", *place, revision="older", as_json=True)
    assert refusal.value.returncode == 2
    assert not Deploy.objects.filter(state=State.QUEUED).exists()
    call_command("deploy", *place, revision="older", as_json=True, although_bad=True)
    told = capsys.readouterr()
    assert told.err == f"Warning: dev marked the release of {revision[:7]} as bad: Prices are wrong.\n"
    assert json.loads(told.out)["state"] == "queued"
