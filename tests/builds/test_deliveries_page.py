"""The page of deliveries: who sees what, what each says, and replaying one."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from adapters.errors import Unavailable
from audit.models import AuditEvent
from builds import judging
from builds.deciding import decide
from builds.incoming.receiving import WRONG, note_refused
from builds.models import Build, BuildSettings, Decision, Delivery
from projects.models import Allotment, Project, Role
from runs.models import State
from tests import factories as make
from tests.adapters.conftest import origin  # noqa: F401  (a fixture)
from tests.builds.pushing import Shop, shop_fixture, site_secret_fixture  # noqa: F401  (fixtures)

PAGE = "/builds/deliveries/"
pytestmark = pytest.mark.django_db


def row(number: int, project: Project | None = None, **fields: Any) -> Delivery:
    """A delivery, decided where there is a project."""
    made = Delivery.objects.create(
        **{
            "delivery_id": f"{number:08d}-0000", "event": "push", "repository": "acme/shop", "ref": "refs/heads/main",
            "state": "decided", **fields,
        }
    )  # fmt: skip
    if project is not None:
        Decision.objects.create(
            delivery=made, project=project, verdict="no_build", sentence=f"Reason {number}."
        )
    return made


def signed_in(role: str, project: Project | None = None) -> Client:
    """A client of a person with this role, or `admin`."""
    client = Client()
    user = make.make_user(is_admin=role == "admin")
    if project is not None:
        make.grant(user, Role(role), project)
    client.force_login(user)
    return client


def test_each_person_sees_the_decisions_of_their_projects() -> None:
    mine, other = make.make_project(name="Mine"), make.make_project(name="Other")
    both = row(1, mine)
    Decision.objects.create(delivery=both, project=other, verdict="no_build", sentence="Not for you.")
    row(2, other, repository="acme/hidden")
    row(3, repository="acme/unknown", sentence="No project of the portal has it.")
    note_refused(WRONG, "Its signature does not fit the secret.")
    text = signed_in("viewer", mine).get(PAGE).text
    assert "Reason 1." in text
    for hidden in ("Not for you", "acme/hidden", "acme/unknown", "signature", "Other"):
        assert hidden not in text
    text = signed_in("admin").get(PAGE).text
    for shown in ("Reason 1.", "Not for you.", "acme/hidden", "acme/unknown", "does not fit the secret"):
        assert shown in text


def test_refused_ones_are_counted_in_words() -> None:
    for _ in range(4):
        note_refused(WRONG, "Its signature does not fit the secret.")
    text = signed_in("admin").get(PAGE).text
    assert "3 more like it within that hour." in text
    assert "Replay" not in text


def test_the_list_of_one_project_is_for_those_who_see_it() -> None:
    mine, other = make.make_project(), make.make_project()
    row(1, mine)
    row(2, other)
    client = signed_in("viewer", mine)
    assert "Reason 1." in client.get(f"{PAGE}?project={mine.slug}").text
    assert client.get(f"{PAGE}?project={other.slug}").status_code == 404
    admin = signed_in("admin")
    text = admin.get(f"{PAGE}?project={other.slug}").text
    assert "Reason 2." in text
    assert "Reason 1." not in text


def test_what_a_sender_writes_is_text_on_the_page() -> None:
    mine = make.make_project()
    row(1, mine, repository="<script>alert(1)</script>", ref="refs/heads/<b>x", sender="<i>")
    text = signed_in("viewer", mine).get(PAGE).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("role", ["admin", "deployer"])
def test_the_number_of_queries_does_not_grow_with_the_rows(role: str) -> None:
    project = make.make_project()
    client = signed_in(role, None if role == "admin" else project)
    counts = []
    for number in range(1, 21):
        found = row(number, project)
        build = Build.objects.create(
            project=project, number=number, revision=f"{number:040x}", actor_kind="system", actor_text="push"
        )
        Decision.objects.filter(delivery=found).update(build=build)
        if number in (1, 20):
            with CaptureQueriesContext(connection) as queries:
                assert client.get(PAGE).status_code == 200
            counts.append(len(queries))
    assert counts[0] == counts[1]


def test_old_deliveries_are_on_further_pages() -> None:
    project = make.make_project()
    for number in range(1, 61):
        row(number, project)
    client = signed_in("viewer", project)
    first = client.get(PAGE)
    assert "Reason 60." in first.text
    assert "Reason 35." not in first.text
    second = client.get(f"{PAGE}{first.context['page'].older}")
    assert "Reason 35." in second.text
    assert client.get(f"{PAGE}?before=1").status_code == 200


def test_the_newest_page_follows_changes_and_each_row_has_an_address() -> None:
    project = make.make_project()
    found = [row(number, project) for number in range(1, 31)]
    client = signed_in("viewer", project)
    text = client.get(PAGE).text
    assert 'data-changes="/changes/?topic=deliveries"' in text
    part = client.get(f"{PAGE}?project={project.slug}", headers={"HX-Request": "true"}).text
    assert part.lstrip().startswith('<div id="deliveries"')
    address = f"{PAGE}?before={found[3].pk + 1}#delivery-{found[3].pk}"
    older = client.get(address.partition("#")[0])
    assert f'<tr id="delivery-{found[3].pk}">' in older.text
    assert f'href="{address}"' in older.text
    assert "data-changes" not in older.text  # what is older does not move


def test_a_project_without_the_address_is_told_why_it_waits(shop: Shop) -> None:
    client = signed_in("viewer", shop.project)
    assert "is not allotted" not in client.get(f"{PAGE}?project=shop").text
    Allotment.objects.all().delete()
    assert (
        "is not allotted to it, so pushes that the site's secret signs"
        in client.get(f"{PAGE}?project=shop").text
    )


def test_who_may_set_the_webhook_up_is_led_there() -> None:
    project = make.make_project()
    for role, leads in (("viewer", False), ("maintainer", True)):
        text = signed_in(role, project).get(f"{PAGE}?project={project.slug}").text
        assert ("Set up the webhook" in text) is leads


# Replaying


def test_a_replay_leads_back_to_its_row(shop: Shop) -> None:
    delivery = shop.push()
    decide(delivery.pk)
    client = signed_in("deployer", shop.project)
    sent = {"project": "shop", "back": f"project=shop&before={delivery.pk + 1}&x=//evil.example"}
    answer = client.post(f"{PAGE}{delivery.pk}/replay/", sent)
    assert answer["Location"] == f"{PAGE}?project=shop&before={delivery.pk + 1}#delivery-{delivery.pk}"


def test_a_replay_needs_the_address(shop: Shop) -> None:
    delivery = shop.push()
    decide(delivery.pk)
    Allotment.objects.all().delete()
    answer = signed_in("deployer", shop.project).post(f"{PAGE}{delivery.pk}/replay/", {"project": "shop"})
    assert answer.status_code == 422
    assert "is not allotted to Shop any more" in answer.text


def test_a_deployer_replays_a_push_by_the_rules_of_now(shop: Shop) -> None:
    shop.set_rules(branches=["release/*"])
    delivery = shop.push()
    decide(delivery.pk)
    assert not Build.objects.exists()
    shop.set_rules(branches=["main"])
    client = signed_in("deployer", shop.project)
    assert "Replay" in client.get(PAGE).text
    answer = client.post(f"{PAGE}{delivery.pk}/replay/", {"project": "shop"}, follow=True)
    build = Build.objects.get()
    assert f"Replayed: Build {build.number}." in answer.text
    assert (build.cause, build.actor_kind, build.delivery) == ("person", "person", delivery)
    assert [one.verdict for one in delivery.decisions.all()] == ["no_build", "build"]
    event = AuditEvent.objects.get(verb="delivery.replayed")
    assert (event.project_slug, event.data["delivery"]) == ("shop", delivery.delivery_id)


def test_a_replay_builds_what_was_built_before_and_gives_way_to_no_newer_push(shop: Shop) -> None:
    older, newer = shop.push("Older"), shop.push("Newer")
    for one in (older, newer):
        decide(one.pk)
    Build.objects.update(state=State.SUCCEEDED)
    client = signed_in("deployer", shop.project)
    client.post(f"{PAGE}{older.pk}/replay/", {"project": "shop"})
    build = Build.objects.order_by("-number")[0]
    assert (build.subject, build.state) == ("Older", "queued")
    client.post(f"{PAGE}{older.pk}/replay/", {"project": "shop"})  # a double click
    assert Build.objects.count() == 3


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("deployer", 302), ("maintainer", 302)])
def test_replaying_needs_a_deployer(shop: Shop, role: str, status: int) -> None:
    delivery = shop.push()
    decide(delivery.pk)
    client = signed_in(role, shop.project)
    assert ("Replay" in client.get(PAGE).text) is (status == 302)
    assert client.post(f"{PAGE}{delivery.pk}/replay/", {"project": "shop"}).status_code == status


def test_nobody_replays_in_a_project_of_another_repository(shop: Shop) -> None:
    delivery = shop.push()
    decide(delivery.pk)
    other = make.make_project(slug="other")
    BuildSettings.objects.create(project=other, on_push=True)
    admin = signed_in("admin")
    assert admin.post(f"{PAGE}{delivery.pk}/replay/", {"project": "other"}).status_code == 404
    assert admin.post(f"{PAGE}{delivery.pk}/replay/", {"project": ""}).status_code == 404
    Project.objects.filter(pk=shop.project.pk).update(repository_url="https://github.com/acme/moved.git")
    answer = admin.post(f"{PAGE}{delivery.pk}/replay/", {"project": "shop"})
    assert answer.status_code == 422
    assert "another repository" in answer.text
    assert Build.objects.count() == 1


def test_a_replay_while_git_does_not_answer_says_so_and_changes_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = shop.push()
    decide(delivery.pk)

    def down(*_: Any) -> Any:
        raise Unavailable("git.example does not answer.", system="Git")

    monkeypatch.setattr(judging, "fetched", down)
    answer = signed_in("deployer", shop.project).post(f"{PAGE}{delivery.pk}/replay/", {"project": "shop"})
    assert answer.status_code == 502
    assert "does not answer" in answer.text
    assert Decision.objects.count() == 1
