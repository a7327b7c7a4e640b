"""What a person may override: a Secret that no check knows a maker of. For one deploy, with a reason that is kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from audit.actors import person
from audit.models import AuditEvent
from deployments.gate import requests
from deployments.models import Deploy
from deployments.pipeline import pipeline
from deployments.preparation.preview import preview
from engine.cluster.client import ApiError
from runs.log import chunks_after, lines
from runs.models import State
from tests.deployments.outside import Outside, commit
from tests.factories import make_deploy, make_release

pytestmark = pytest.mark.django_db(transaction=True)
WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: "nginx:1"
        env:
        - name: URL
          valueFrom: {secretKeyRef: {name: main-app, key: uri}}
"""
SENTENCE = "Deployment web needs Secret main-app, which is neither in the config directory nor in namespace shop-staging."
REASON = "The operator makes it."


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    cache.clear()


@pytest.fixture
def lacking(outside: Outside) -> Outside:
    """A revision whose Secret an operator makes."""
    outside.files["web.yaml"] = WEB
    return outside


def ended(environment: Any, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Deploy:
    """A deploy of it, worked on until the first write."""
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setattr(pipeline, "rollout_steps", lambda work: None)
    deploy = make_deploy(environment, State.QUEUED, revision="c" * 40, **fields)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    return deploy


def told(deploy: Deploy) -> list[tuple[str, str]]:
    return [(line.level, line.text) for line in lines(chunks_after(deploy.run_id, 0))]


def test_without_it_the_deploy_is_stopped_and_says_how_to(
    environment: Any, lacking: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = ended(environment, monkeypatch)
    assert (deploy.state, deploy.result) == (
        State.FAILED,
        SENTENCE.replace("shop-staging", environment.namespace),
    )
    assert "--override" in deploy.hint
    assert len([text for _, text in told(deploy) if deploy.result in text]) == 2, (
        "as a finding, and as the end"
    )


def test_with_a_reason_it_goes_on_and_the_warning_stays(
    environment: Any, lacking: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = ended(environment, monkeypatch, override_reason=REASON)
    assert deploy.state == State.SUCCEEDED
    sentence = SENTENCE.replace("shop-staging", environment.namespace)
    assert sentence in deploy.warnings
    (line,) = [line for line in told(deploy) if sentence in line[1]]
    assert line[0] == "warning"
    assert line[1].endswith(f"Overridden for this deploy: {REASON}")


def test_what_the_server_refuses_is_never_overridden(
    environment: Any, lacking: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking.refuses = ApiError("no", status=403, reason="Forbidden")
    deploy = ended(environment, monkeypatch, override_reason=REASON)
    assert deploy.state == State.FAILED
    assert "may not do this" in deploy.result
    assert not preview(environment, commit("c")).can_be_overridden


def test_the_gate_keeps_and_audits_the_reason(
    environment: Any, deployer: Any, lacking: Outside, pushed: Any
) -> None:
    actor = person(deployer)
    answer = requests.request_deploy(
        actor, environment=environment, revision="c" * 40, override=f" {REASON} "
    )
    assert answer.deploy.override_reason == REASON
    assert AuditEvent.objects.get(verb="deploy.requested").data["override"] == REASON


def test_an_open_deploy_without_it_is_not_the_same_request(
    environment: Any, deployer: Any, lacking: Outside, pushed: Any
) -> None:
    actor = person(deployer)
    first = requests.request_deploy(actor, environment=environment, revision="c" * 40)
    second = requests.request_deploy(actor, environment=environment, revision="c" * 40, override=REASON)
    third = requests.request_deploy(actor, environment=environment, revision="c" * 40, override="again")
    assert [first.created, second.created, third.created] == [True, True, False]
    assert third.deploy == second.deploy
    assert "override" not in AuditEvent.objects.filter(verb="deploy.requested").order_by("id")[0].data


def test_a_rollback_to_such_a_release_keeps_it(environment: Any, deployer: Any, pushed: Any) -> None:
    release = make_release(environment, verified_at=timezone.now(), place=environment.place)
    target = make_deploy(environment, release=release, revision=release.revision, override_reason=REASON)
    answer = requests.request_rollback(person(deployer), environment=environment, target=target)
    assert answer.deploy.override_reason == REASON


class TestThePage:
    @pytest.fixture
    def address(self, environment: Any, lacking: Outside, client: Client, deployer: Any) -> str:
        client.force_login(deployer)
        return f"/projects/{environment.project.slug}/staging/deploy/"

    def press(self, client: Client, address: str, **fields: str) -> Any:
        given = {"revision": "c" * 40, "key": "k", **fields}
        return client.post(address, given, headers={"accept": "text/html"})

    def test_it_offers_a_box_and_a_reason(self, address: str, client: Client, lacking: Outside) -> None:
        page = client.get(f"{address}?see=1").content.decode()
        assert 'name="override" required' in page
        assert 'name="override_reason"' in page
        assert 'id="go" type="submit"' in page
        lacking.fails["cluster"] = ApiError("The cluster does not answer.", status=0)
        page = client.get(f"{address}?see=1").content.decode()
        assert 'name="override"' not in page
        assert 'type="submit" form="deploy-form"' not in page

    def test_the_box_needs_a_reason(self, address: str, client: Client, pushed: Any) -> None:
        answer = self.press(client, address, override="on", override_reason=" ")
        assert answer.status_code == 422
        page = answer.content.decode()
        assert "Say why it may be deployed nevertheless. Nothing was started." in page
        assert 'name="override" required checked' in page
        assert not Deploy.objects.exists()

    def test_it_is_kept_and_shown(self, address: str, client: Client, pushed: Any) -> None:
        answer = self.press(client, address, override="on", override_reason=REASON)
        assert answer.status_code == 302
        assert Deploy.objects.get().override_reason == REASON
        assert f"“{REASON}”" in client.get(answer["Location"]).content.decode()

    def test_a_reason_without_the_box_overrides_nothing(
        self, address: str, client: Client, pushed: Any
    ) -> None:
        self.press(client, address, override_reason=REASON)
        assert Deploy.objects.get().override_reason == ""


def test_the_command_line_gives_it(environment: Any, commits: Any, pushed: Any, capsys: Any) -> None:
    call_command("deploy", environment.project.slug, "staging", revision="main", override=REASON)
    assert Deploy.objects.get().override_reason == REASON
