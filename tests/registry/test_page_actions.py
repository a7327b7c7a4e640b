"""What people do on the pages: renew, pause, resume, take over, choose the namespaces."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AuditEvent
from engine.cluster.client import ApiError
from registry import preview
from registry.cluster import Home, Place
from registry.models import Credential, PullPolicy, Refresh, State
from registry.pages.forms import is_selector
from tests import factories as make
from tests.registry.pages import Portal, make_portal

pytestmark = pytest.mark.django_db


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Portal:
    monkeypatch.setattr("core.jobs.push", lambda *_, **__: True)
    return make_portal()


@pytest.fixture
def post(client: Client, portal: Portal):
    def send(address: str, who: str = "admin", **data):
        client.force_login(portal.people[who])
        return client.post(address, data)

    return send


def asked() -> list[tuple[str, str, str]]:
    return list(Refresh.objects.order_by("id").values_list("cluster__slug", "namespace", "asked_as"))


def test_a_deployer_renews_a_namespace_and_lands_on_the_same_list(portal: Portal, post) -> None:
    answer = post(
        "/registry/refresh/", "deployer", place="hel/shop", back="cluster=hel&q=sh&next=//evil.example"
    )
    assert (answer.status_code, answer["Location"]) == (302, "/registry/?cluster=hel&q=sh")
    assert asked() == [("hel", "shop", "a-deployer")]
    assert post("/registry/refresh/", "deployer", place="hel/shop").status_code == 302
    assert len(asked()) == 1


@pytest.mark.parametrize(
    ("who", "place", "status"),
    [
        ("viewer", "hel/shop", 403), ("deployer", "hel", 403), ("deployer", "", 403), ("deployer", "hel/other", 403),
        ("stranger", "hel/shop", 404), ("deployer", "nowhere/shop", 404), ("admin", "nowhere", 404),
    ],
)  # fmt: skip
def test_others_renew_nothing(portal: Portal, post, who: str, place: str, status: int) -> None:
    assert post("/registry/refresh/", who, place=place).status_code == status
    assert asked() == []


def test_an_admin_renews_a_cluster_or_everything(portal: Portal, post) -> None:
    make.make_environment(cluster=make.make_cluster(slug="tku", name="Turku"), pull_secret="ecr-pull")
    make.make_cluster(slug="empty")
    post("/registry/refresh/", place="hel")
    assert asked() == [("hel", "", "ada")]
    post("/registry/refresh/")
    assert asked() == [("hel", "", "ada"), ("tku", "", "ada")]


def test_pausing_says_until_when_pulls_work_and_ends_by_itself(portal: Portal, post, client: Client) -> None:
    client.force_login(portal.people["admin"])
    page = client.get("/registry/hel/pause/?namespace=shop").content.decode()
    assert "Pause the pull credential of shop?" in page
    assert "7 h 59 min" in page
    assert post("/registry/hel/pause/", namespace="shop", hours="5").status_code == 422
    assert post("/registry/hel/pause/", namespace="shop", hours="4").status_code == 302
    left = Credential.objects.get().paused_until - timezone.now()
    assert timedelta(hours=3, minutes=59) < left <= timedelta(hours=4)
    assert post("/registry/hel/pause/", hours="1").status_code == 302
    assert PullPolicy.objects.get().is_paused
    assert "<b>paused</b> until" in client.get("/registry/").content.decode()
    post("/registry/hel/resume/")
    post("/registry/hel/resume/", namespace="shop")
    assert Credential.objects.get().paused_until is None
    assert not PullPolicy.objects.get().is_paused
    assert client.get("/registry/hel/pause/?namespace=none").status_code == 404


def test_what_is_not_there_is_answered_as_such(portal: Portal, post) -> None:
    """A namespace without a pull secret, and a Secret that nobody else wrote."""
    answer = post("/registry/refresh/", place="hel/kube-system")
    assert answer.status_code == 404
    assert "keeps no pull credential in the namespace kube-system" in answer.content.decode()
    answer = post("/registry/hel/adopt/", credential=str(Credential.objects.get().pk))
    assert answer.status_code == 409
    assert "there is nothing to take over" in answer.content.decode()


def test_an_admin_takes_a_secret_over(portal: Portal, post) -> None:
    row = portal.credential("cd", State.FOREIGN, hours=None, last_writer="kubectl")
    assert post("/registry/hel/adopt/", "maintainer", credential=row.pk).status_code == 403
    assert post("/registry/hel/adopt/", credential=row.pk).status_code == 302
    row.refresh_from_db()
    assert row.adopt
    assert asked() == [("hel", "cd", "ada")]
    for wrong in ("", "x", "٣", "9" * 30, row.pk + 1):
        assert post("/registry/hel/adopt/", credential=wrong).status_code == 404


FIELDS = {"namespaces": "environments", "secret_name": "ecr-pull", "enabled": "on", "edited": "0"}


def test_the_policy_is_stored_with_lock_and_audit(portal: Portal, post) -> None:
    given = FIELDS | {
        "namespaces": "selector", "selector": "team=shop, tier notin (db, cache)", "secret_name": "pull",
        "service_accounts": "default, builder", "registries": [portal.registry.pk], "paused_until": "2099-01-02T03:04",
    }  # fmt: skip
    assert post("/registry/hel/settings/", **given).status_code == 302
    policy = PullPolicy.objects.get()
    assert (policy.namespaces, policy.service_accounts, policy.edited) == (
        "selector",
        ["default", "builder"],
        1,
    )
    assert (list(policy.registries.all()), policy.is_paused) == ([portal.registry], True)
    verbs = (
        AuditEvent.objects.filter(target_kind="pull_credential").order_by("id").values_list("verb", flat=True)
    )
    assert list(verbs) == ["pull_credential.policy", "pull_credential.paused"]
    answer = post("/registry/hel/settings/", **FIELDS)
    assert answer.status_code == 422
    assert "was changed since you opened this form" in answer.content.decode()
    assert post("/registry/hel/settings/", **FIELDS | {"edited": "1", "enabled": ""}).status_code == 302
    policy.refresh_from_db()
    assert (policy.enabled, policy.paused_until) == (False, None)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("selector", "team = = x", "Write a label selector"), ("secret_name", "No Name", "name of a Kubernetes Secret"),
        ("namespaces", "some", "some is not one"), ("namespaces", "selector", "such as team=shop"),
        ("service_accounts", "Bad_Name", "Write a Kubernetes"), ("paused_until", "2001-01-01T00:00", "still to come"),
        ("registries", "99999", "not one of the available"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_beside_its_field(
    portal: Portal, post, field: str, value: str, told: str
) -> None:
    answer = post("/registry/hel/settings/", **FIELDS | {field: value})
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert PullPolicy.objects.filter(edited__gt=0).count() == 0


@pytest.mark.parametrize(
    "text", ["a=b", "a", "!a", "x.io/a!=b", "a in (b, c),d notin (e)", "a==b,c=", "slipway.dev/x=off"]
)
def test_selectors(text: str) -> None:
    assert is_selector(text)


@pytest.mark.parametrize("text", ["a=b=c", ",", "a,,b", "a in b", "a in ()", "-a", "a=b c", "$(x)", "a\nb"])
def test_no_selectors(text: str) -> None:
    assert not is_selector(text)


class Quiet:
    def close(self) -> None:
        pass


def test_the_preview_asks_the_cluster_and_stores_nothing(portal: Portal, post, monkeypatch) -> None:
    homes = {name: Home(name, False, name == "off") for name in ("shop", "fresh", "off", "kube-system")}
    monkeypatch.setattr(preview, "hasty_client", lambda *_, **__: Quiet())
    monkeypatch.setattr("registry.places.read_homes", lambda client, selector="": homes)
    portal.credential("gone")
    page = post("/registry/hel/settings/", **FIELDS | {"namespaces": "all", "preview": "1"}).content.decode()
    meant = page[page.index("What this means") :]
    assert ["fresh" in meant, "kube-system" in meant, "<code>off</code>" in meant] == [True, False, False]
    assert "1 no longer kept:</b> <code>gone</code>" in meant
    assert not PullPolicy.objects.exists()


def test_without_the_cluster_the_preview_tells_what_is_known(portal: Portal, post, monkeypatch) -> None:
    portal.credential("old")
    page = post("/registry/hel/settings/", **FIELDS | {"namespaces": "all", "preview": "1"}).content.decode()
    assert "The cluster was not asked" in page
    assert ["<code>old</code>" in page, "<code>shop</code>" in page] == [True, True]
    policy = PullPolicy(cluster=portal.cluster, namespaces="selector", selector="a=b")
    assert preview.known_places(policy) == ()
    policy.namespaces = "environments"
    assert preview.known_places(policy) == (Place("shop", "ecr-pull"),)

    def refuses(*_: object, **__: object) -> None:
        raise ApiError("namespaces is forbidden", status=403)

    monkeypatch.setattr(preview, "hasty_client", lambda *_, **__: Quiet())
    monkeypatch.setattr("registry.places.read_homes", refuses)
    page = post("/registry/hel/settings/", **FIELDS | {"namespaces": "all", "preview": "1"}).content.decode()
    assert "The cluster was not asked" in page
