"""The plan is the promise: a click does what its preview showed, or nothing, and says what came in between."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from deployments.gate import plans
from deployments.models import Deploy, ObjectState, Plan
from engine.types import Action, ObjectRef
from projects.models import Environment
from runs.models import State
from tests.deployments.outside import Outside
from tests.factories import make_deploy, make_environment, make_release

pytestmark = pytest.mark.django_db
C = "c" * 40


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def address(environment: Any, outside: Outside) -> str:
    return f"/projects/{environment.project.slug}/staging/deploy/"


@pytest.fixture
def tab(client: Client, deployer: Any) -> Client:
    client.force_login(deployer)
    return client


def previewed(tab: Client, address: str) -> dict[str, str]:
    """Opens a preview; the fields of its form."""
    page = tab.get(f"{address}?see=1&revision={C}").content.decode()
    found = re.findall(
        r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.partition('id="deploy-form"')[2]
    )
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


def press(tab: Client, address: str, fields: dict[str, str]) -> Any:
    return tab.post(address, fields, headers={"accept": "text/html"})


class TestClick:
    def test_it_does_what_was_shown(self, tab: Client, address: str, pushed: Any) -> None:
        fields = previewed(tab, address)
        answer = press(tab, address, fields)
        assert answer.status_code == 302
        assert Deploy.objects.get().plan == Plan.objects.get(key=fields["plan"])

    def test_a_deploy_that_came_in_between_is_named_and_nothing_starts(
        self, tab: Client, address: str, environment: Environment, pushed: Any
    ) -> None:
        fields = previewed(tab, address)
        other = make_deploy(environment, State.SUCCEEDED, revision="b" * 40, actor_text="lead")
        answer = press(tab, address, fields)
        assert answer.status_code == 422
        html = answer.content.decode()
        assert (
            f"Deploy #{other.number} of bbbbbbb by lead came in between (succeeded). Nothing was started."
            in html
        )
        assert "Below stands what would happen now." in html
        assert Deploy.objects.count() == 1
        again = re.search(r'name="plan" value="(\w+)"', html)
        assert again
        assert again[1] != fields["plan"]
        answer = press(tab, address, {**fields, "plan": again[1], "key": "second"})
        assert answer.status_code == 302

    def test_the_same_button_in_two_tabs_works_once(
        self, tab: Client, address: str, environment: Environment, pushed: Any
    ) -> None:
        first, second = previewed(tab, address), previewed(tab, address)
        assert press(tab, address, first).status_code == 302
        waits = press(tab, address, second)
        assert waits.status_code == 302, "it leads to the deploy that is on its way"
        assert Deploy.objects.count() == 1
        Deploy.objects.update(state=State.SUCCEEDED)
        third = press(tab, address, {**second, "key": "third"})
        assert third.status_code == 422
        assert Deploy.objects.count() == 1

    def test_a_deploy_that_was_on_its_way_has_ended(
        self, tab: Client, address: str, environment: Environment, pushed: Any
    ) -> None:
        going = make_deploy(environment, State.RUNNING, revision="b" * 40)
        fields = previewed(tab, address)
        Deploy.objects.filter(pk=going.pk).update(state=State.FAILED)
        assert "came in between (failed)" in press(tab, address, fields).content.decode()

    def test_other_settings(self, tab: Client, address: str, environment: Environment, pushed: Any) -> None:
        fields = previewed(tab, address)
        Environment.objects.filter(pk=environment.pk).update(edited=7)
        assert "The settings of the environment were changed." in press(tab, address, fields).content.decode()

    def test_other_versions_of_the_secrets(
        self, tab: Client, address: str, environment: Environment, pushed: Any, monkeypatch: Any
    ) -> None:
        fields = previewed(tab, address)
        Plan.objects.update(secret_versions={"secret.yaml": "v1"})
        monkeypatch.setattr(plans, "current_versions", lambda _: {"secret.yaml": "v2", "other.yaml": "v1"})
        html = press(tab, address, fields).content.decode()
        assert "The secrets in secret.yaml were changed since this preview was made." in html
        assert Deploy.objects.count() == 0

    @pytest.mark.parametrize("change", ["old", "unknown", "another revision", "another environment"])
    def test_a_key_of_something_else(
        self, tab: Client, address: str, environment: Environment, pushed: Any, change: str
    ) -> None:
        fields = previewed(tab, address)
        if change == "old":
            Plan.objects.update(made_at=timezone.now() - plans.KEPT - timedelta(minutes=1))
        elif change == "unknown":
            fields["plan"] = "f" * 32
        elif change == "another revision":
            fields["revision"] = "b" * 40
        else:
            Plan.objects.update(environment=make_environment(slug="other"))
        assert press(tab, address, fields).status_code == 422
        assert Deploy.objects.count() == 0

    def test_many_deploys_in_between_are_bounded(self, environment: Environment) -> None:
        plan = plans.keep(environment, kind="deploy", revision=C, secret_versions={}, images={}, actions=[])
        for _ in range(9):
            make_deploy(environment, State.SUCCEEDED)
        told = plans.came_between(plan)
        assert len(told) == plans.MOST_TOLD + 1
        assert told[-1] == "More followed."


def ref(kind: str, name: str) -> ObjectRef:
    return ObjectRef(kind, "batch" if kind == "Job" else "apps", "shop", name)


class TestEnd:
    @pytest.fixture
    def deploy(self, environment: Environment) -> Deploy:
        plan = plans.keep(
            environment, kind="deploy", revision=C, secret_versions={}, images={"web": "sha256:1"},
            actions=[
                (ref("Deployment", "web"), Action.CHANGE), (ref("Deployment", "worker"), Action.UNCHANGED),
                (ref("Job", "migrate"), Action.CREATE), (ref("Certificate", "shop"), None),
            ],
        )  # fmt: skip
        release = make_release(
            environment, images={"web": {"repository": "r/web", "tag": "c", "digest": "sha256:1"}}
        )
        return make_deploy(environment, State.SUCCEEDED, release=release, plan=plan)

    def did(self, deploy: Deploy, **other: str) -> None:
        done = {
            "Deployment.apps/shop/web": "change", "Deployment.apps/shop/worker": "unchanged",
            f"Job.batch/shop/migrate-{deploy.number}": "create", "Certificate.apps/shop/shop": "create",
        }  # fmt: skip
        for name, action in done.items():
            action = other.get(name.split("/")[-1], action)
            ObjectState.objects.create(run_id=deploy.run_id, ref=name, action=action, progress="ready")

    def test_exactly_what_was_previewed(self, deploy: Deploy, tab: Client) -> None:
        self.did(deploy)
        assert plans.differences(deploy) == []
        assert (
            "Did exactly what the preview showed." in tab.get(f"/deploys/{deploy.number}/").content.decode()
        )

    def test_what_differs_is_listed(self, deploy: Deploy, tab: Client) -> None:
        self.did(deploy, web="unchanged", worker="change")
        ObjectState.objects.create(
            run_id=deploy.run_id, ref="ConfigMap/shop/new", action="create", progress="ready"
        )
        assert sorted(plans.differences(deploy) or ()) == [
            "ConfigMap/new was made; it was not in the preview.",
            "Deployment/web stayed as it was; it was to change.",
            "Deployment/worker was changed; it was to stay.",
        ]
        html = tab.get(f"/deploys/{deploy.number}/").content.decode()
        assert "It did something else than its preview showed:" in html
        assert "Deployment/worker was changed; it was to stay." in html

    def test_an_image_that_was_pushed_again(self, deploy: Deploy) -> None:
        self.did(deploy)
        assert deploy.release
        deploy.release.images["web"]["digest"] = "sha256:2"
        assert plans.differences(deploy) == ["Image web has another digest: its tag was pushed again since."]

    def test_an_object_that_is_gone(self, deploy: Deploy) -> None:
        self.did(deploy)
        ObjectState.objects.filter(ref__endswith="/web").delete()
        assert plans.differences(deploy) == ["Deployment/web was planned and is not in the release."]

    def test_without_a_plan_or_a_success_nothing_is_said(self, deploy: Deploy) -> None:
        deploy.state = State.FAILED
        assert plans.differences(deploy) is None
        deploy.state, deploy.plan = State.SUCCEEDED, None
        assert plans.differences(deploy) is None


def test_plans_that_nobody_can_use_are_deleted(environment: Environment) -> None:
    def keep() -> Plan:
        return plans.keep(environment, kind="deploy", revision=C, secret_versions={}, images={}, actions=[])

    used, old, fresh = keep(), keep(), keep()
    make_deploy(environment, State.SUCCEEDED, plan=used)
    Plan.objects.exclude(pk=fresh.pk).update(made_at=timezone.now() - timedelta(days=1))
    plans.prune()
    assert set(Plan.objects.values_list("pk", flat=True)) == {used.pk, fresh.pk}
    assert not Plan.objects.filter(pk=old.pk).exists()
