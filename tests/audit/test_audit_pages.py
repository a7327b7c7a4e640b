"""The audit's pages."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from audit import chain, integrity, reading
from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent, IntegrityCheck
from audit.record import before_after, record
from projects import memberships, services
from projects.models import Role
from tests.factories import grant, make_environment, make_project, make_user


@pytest.fixture
def admin(db):
    return make_user("ada", is_admin=True)


@pytest.fixture
def auditor(db):
    return make_user("otto", is_auditor=True)


@pytest.fixture
def events(admin):
    """Five events of several kinds."""
    ada, ben = person(admin), person(make_user("ben"))
    told = [
        record(ben, "project.changed", target_kind="project", target_text="shop", project="shop",
               data={"name": before_after("Shop", "The Shop"), "is_open": before_after(False, True)}),
        record(ben, "deploy.requested", target_kind="deploy", target_id=12, target_text="#12 shop.staging abc", project="shop",
               data={"revision": "abc"}),
        record(ben, "deploy.refused", target_kind="environment", target_id=1, target_text="shop.production", project="shop",
               data={"reason": "You are viewer."}),
        record(SYSTEM_ACTOR, "deploy.ended", target_kind="deploy", target_id=12, target_text="#12 shop.staging abc",
               project="shop", data={"state": "failed", "result": "Container web exits."}),
        record(ada, "user.created", target_kind="user", target_id=9, target_text="cleo"),
    ]  # fmt: skip
    AuditEvent.objects.update(at=timezone.now() - timedelta(minutes=5))
    return told


@pytest.fixture
def get(client):
    def ask(user, address, status=200):
        client.force_login(user)
        response = client.get(address)
        assert response.status_code == status, response.content.decode()[:1500]
        return response

    return ask


def shown(response) -> list[int]:
    return [int(pk) for pk in re.findall(r'<li id="e(\d+)"', response.content.decode())]


def test_it_reads_as_sentences(events, admin, get):
    html = " ".join(get(admin, "/audit/").content.decode().split())
    assert '<b>asked for the deploy</b> <a href="/deploys/12/">#12 shop.staging abc</a>' in html
    assert '<b>was refused a deploy of</b> <a href="/projects/shop/production/">shop.production</a>' in html
    assert '<b>changed the project</b> <a href="/projects/shop/">shop</a>' in html
    assert "Container web exits." in html
    assert "You are viewer." in html


def test_a_check_of_no_events_proves_nothing(admin, get):
    IntegrityCheck.objects.create(checked_at=timezone.now(), seconds=0.1, events=0, broken=[], broken_count=0)
    html = get(admin, "/audit/").content.decode()
    assert "Unbroken" not in html
    assert "There was no event when the chain was checked" in html


def test_a_role_is_told_with_its_person_and_place(admin, get):
    project, dev = make_project(slug="shop", name="Shop"), make_user("dev")
    staging = make_environment(project, slug="staging")
    memberships.grant(person(admin), project=project, user=dev, role=Role.VIEWER)
    memberships.grant(person(admin), project=project, user=dev, role=Role.DEPLOYER)
    membership = memberships.grant(
        person(admin), project=project, user=dev, role=Role.MAINTAINER, environment=staging
    )
    memberships.revoke(person(admin), membership=membership)
    entries = [reading.entry(e) for e in AuditEvent.objects.filter(target_kind="membership").order_by("id")]
    assert [entry.extra for entry in entries] == [
        "dev: viewer", "dev: viewer → deployer", "dev: maintainer in staging", "dev: maintainer in staging",
    ]  # fmt: skip
    assert "dev: viewer → deployer" in get(admin, "/audit/").content.decode()


def test_a_project_is_not_named_beside_itself(admin, get):
    record(person(admin), "project.created", target_kind="project", target_text="The Shop", project="shop")
    record(person(admin), "image.created", target_kind="image", target_text="The Shop web", project="shop")
    html = " ".join(get(admin, "/audit/").content.decode().split())
    assert html.count('<span class="quiet">of shop</span>') == 1


def test_changes_are_told_before_and_after(events, auditor, get):
    html = get(auditor, f"/audit/{events[0].pk}/").content.decode()
    assert '<th scope="row">name</th><td class="wrap">Shop</td><td class="wrap">The Shop</td>' in html
    assert '<th scope="row">is open</th><td class="wrap">no</td><td class="wrap">yes</td>' in html
    assert events[0].request_id in html


@pytest.mark.parametrize("address", ["/audit/", "/audit/export.csv", "/audit/1/"])
def test_others_are_refused_and_told_whom_to_ask(events, get, address):
    user = make_user("dora")
    grant(user, Role.MAINTAINER, make_project())
    html = get(user, address, status=403).content.decode()
    assert "Only admins and auditors read the audit." in html
    assert "ada" in html


def test_others_cannot_verify(events, client):
    client.force_login(make_user("dora"))
    assert client.post("/audit/verify/").status_code == 403
    assert not IntegrityCheck.objects.exists()


def test_nobody_is_asked_to_sign_in(events, client):
    assert client.get("/audit/").status_code == 302
    assert client.get("/audit/export.csv").status_code == 302


def test_methods(events, admin, client):
    client.force_login(admin)
    assert client.post("/audit/").status_code == 405
    assert client.get("/audit/verify/").status_code == 405


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("who=ben", [0, 1, 2]),
        ("who=system", [3]),
        ("verb=deploy.refused", [2]),
        ("verb=deploy.", [1, 2, 3]),
        ("project=shop", [0, 1, 2, 3]),
        ("target=%2312", [1, 3]),
        ("target=production", [2]),
        ("target=cleo", [4]),
        ("who=ben&verb=deploy.", [1, 2]),
    ],
)
def test_each_filter(events, auditor, get, query, kept):
    expected = [events[n].pk for n in reversed(kept)]
    assert [pk for pk in shown(get(auditor, f"/audit/?{query}")) if pk <= events[-1].pk] == expected


def test_by_date_and_request(events, auditor, get):
    AuditEvent.objects.filter(pk=events[0].pk).update(
        at=timezone.now() - timedelta(days=9), request_id="req-12345678"
    )
    day = (timezone.now() - timedelta(days=9)).date()
    assert shown(get(auditor, f"/audit/?since={day}&until={day}")) == [events[0].pk]
    assert shown(get(auditor, "/audit/?request=req-12345678")) == [events[0].pk]


def test_a_filter_that_makes_no_sense_is_named(events, auditor, get):
    response = get(auditor, "/audit/?since=then")
    assert shown(response) == []
    assert 'class="error"' in response.content.decode()


def test_pages(events, auditor, get):
    for n in range(60):
        record(SYSTEM_ACTOR, "deploy.ended", target_text=f"n{n}")
    first = get(auditor, "/audit/?who=system")
    assert len(shown(first)) == 50
    older = re.search(r'href="(\?who=system&amp;before=\d+)"', first.content.decode())[1].replace(
        "&amp;", "&"
    )
    assert len(shown(get(auditor, f"/audit/{older}"))) == 11


def test_an_event_that_is_not_there(admin, get):
    assert "There is no event 99999." in get(admin, "/audit/99999/", status=404).content.decode()


def test_empty_states(admin, get):
    assert "No event fits" in get(admin, "/audit/?who=nobody").content.decode()


def test_the_export(events, auditor, get):
    response = get(auditor, "/audit/export.csv?verb=deploy.")
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert [row["id"] for row in rows] == [str(events[n].pk) for n in (3, 2, 1)]
    assert json.loads(rows[0]["data"]) == {"result": "Container web exits.", "state": "failed"}
    exported = AuditEvent.objects.get(verb="audit.exported")
    assert (exported.actor_text, exported.data) == ("otto", {"filters": {"verb": "deploy."}})


def test_formulas_in_the_export_are_disarmed(admin, get):
    record(person(admin), "project.created", target_text="=cmd()")
    text = b"".join(get(admin, "/audit/export.csv").streaming_content).decode()
    assert ",'=cmd()," in text


def test_an_unbroken_chain(events, admin, client):
    chain.extend()
    client.force_login(admin)
    assert "Not verified yet" in client.get("/audit/").content.decode()
    assert client.post("/audit/verify/").status_code == 302
    html = client.get("/audit/").content.decode()
    assert "Unbroken" in html
    assert "each of 5 events" in html or "each of 6 events" in html
    assert AuditEvent.objects.filter(verb="audit.verified", actor_text="ada").exists()


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_a_broken_chain_is_shown_with_its_place(events, auditor, client, damage):
    chain.extend()
    if damage == "changed":
        AuditEvent.objects.filter(pk=events[2].pk).update(data={"reason": "nothing happened"})
        broken = events[2].pk
    else:
        AuditEvent.objects.filter(pk=events[1].pk).delete()
        broken = events[2].pk
    answer = integrity.verify()
    assert (answer.broken_count, answer.broken) == (1, [broken])
    client.force_login(auditor)
    html = client.get("/audit/").content.decode()
    assert "Broken" in html
    assert f'href="/audit/{broken}/"' in html


def test_many_events_are_verified_by_a_job(events, admin, client, monkeypatch):
    rung = []
    monkeypatch.setattr(integrity, "AT_ONCE", 2)
    monkeypatch.setattr(integrity, "enqueue", lambda *args, **names: rung.append(names["job_id"]))
    chain.extend()
    client.force_login(admin)
    response = client.post("/audit/verify/", follow=True)
    assert "The check has begun" in response.content.decode()
    assert [job_id.rpartition("-")[0] for job_id in rung] == ["audit-verify-0"]
    assert not IntegrityCheck.objects.exists()


def test_the_tick_verifies_when_the_answer_is_old(db, monkeypatch):
    rung = []
    monkeypatch.setattr(integrity, "enqueue", lambda func, **names: rung.append(func))
    integrity.verify_due()
    assert rung == ["audit.integrity.verify_job"]
    integrity.verify_job()
    integrity.verify_due()
    assert len(rung) == 1
    IntegrityCheck.objects.update(checked_at=timezone.now() - timedelta(hours=7))
    integrity.verify_due()
    assert len(rung) == 2


def test_old_answers_are_not_kept_for_ever(db):
    for _ in range(integrity.CHECKS_KEPT + 5):
        integrity.verify()
    assert IntegrityCheck.objects.count() == integrity.CHECKS_KEPT


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({}, []),
        ({"role": "deployer"}, [("role", None, "deployer")]),
        ({"is_admin": before_after(False, True)}, [("is admin", "no", "yes")]),
        ({"name": before_after("", "x")}, [("name", "–", "x")]),
        ({"policies": {"a": before_after(1, 2)}}, [("policies: a", "1", "2")]),
        ({"hosts": before_after(["a", "b"], [])}, [("hosts", "a, b", "–")]),
        ({"names": ["a", "b"]}, [("names", None, "a, b")]),
        ({"names": ["a", "b", "c"]}, [("names", None, "a, b, c")]),
        ({"filters": {"state": "failed"}}, [("filters: state", None, "failed")]),
        ({"list": [{"a": 1}, {"b": None}]}, [("list", None, "a: 1, b: –")]),
        (["odd"], [("data", None, "odd")]),
    ],
)
def test_data_in_words(data, told):
    assert [(c.name, c.before, c.after) for c in reading.changes_of(data, verb="deploy.ended")] == told


@pytest.mark.parametrize(
    ("verb", "data", "told"),
    [
        ("user.changed", {"is_admin": [False, True]}, [("is admin", "no", "yes")]),
        ("project.changed", {"name": ["", "x"]}, [("name", "–", "x")]),
        ("environment.changed", {"order": [10, 20]}, [("order", "10", "20")]),
        (
            "environment.changed",
            {"order": ["production", "staging"]},
            [("order", None, "production, staging")],
        ),
        ("environment.changed", {"policies": {"a": [True, False]}}, [("policies: a", "yes", "no")]),
        ("environment.changed", {"variables": [[], [{"name": "A"}]]}, [("variables", None, "–, name: A")]),
        (
            "cluster.changed",
            {"in the raw tables": ["name", "notice"]},
            [("in the raw tables", None, "name, notice")],
        ),
        ("membership.granted", {"role": ["viewer", "deployer"]}, [("role", "viewer", "deployer")]),
        ("release.unmarked", {"mark": ["ada: bad", ""]}, [("mark", "ada: bad", "–")]),
        ("deploy.ended", {"result": ["a", "b"]}, [("result", None, "a, b")]),
    ],
)
def test_older_events_tell_changes_by_lists_of_two(verb, data, told):
    assert [(c.name, c.before, c.after) for c in reading.changes_of(data, verb=verb)] == told


def test_two_environments_in_a_new_order_are_no_change_of_one_into_the_other(admin, get):
    project = make_project(slug="shop")
    make_environment(project, slug="staging", order=10)
    production = make_environment(project, slug="production", order=20)
    services.move_environment(person(admin), environment=production)
    event = AuditEvent.objects.get(verb="environment.changed")
    told = reading.entry(event).changes
    assert [(c.name, c.before, c.after) for c in told] == [("order", None, "production, staging")]
    assert "Before" not in get(admin, f"/audit/{event.pk}/").content.decode()


def test_text_of_others_is_escaped(admin, get):
    record(person(admin), "project.created", target_text="<script>alert(1)</script>", data={"<b>": "<i>"})
    html = get(admin, "/audit/").content.decode()
    assert "<script>alert(1)" not in html
    assert "&lt;i&gt;" in html


def test_the_number_of_queries_does_not_grow(events, auditor, client, django_assert_max_num_queries):
    client.force_login(auditor)
    for n in range(60):
        record(SYSTEM_ACTOR, "deploy.ended", target_kind="deploy", target_id=n)
    with django_assert_max_num_queries(6):
        client.get("/audit/")
