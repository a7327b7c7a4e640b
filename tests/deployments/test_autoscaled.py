"""What the preview and a deploy's log say about a workload whose number of replicas an autoscaler decides."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from deployments.pipeline import pipeline
from deployments.preparation.preview import preview
from runs.log import chunks_after, lines
from runs.models import State
from tests.deployments.outside import Outside, commit
from tests.factories import make_deploy

pytestmark = pytest.mark.django_db(transaction=True)
WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:1", readinessProbe: {tcpSocket: {port: 80}}}]
"""
AUTOSCALER = b"""apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web-load}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 9
"""
SENTENCE = (
    "Deployment web: the manifest sets spec.replicas to 2, but the autoscaler web-load decides it. "
    "It starts with 2; later deploys leave it alone."
)


@pytest.fixture
def autoscaled(outside: Outside) -> Outside:
    """A revision with an autoscaled Deployment whose manifest sets the number."""
    outside.files |= {"web.yaml": WEB, "autoscaler.yaml": AUTOSCALER}
    return outside


def test_the_preview_warns_and_names_the_line(environment: Any, autoscaled: Outside) -> None:
    made = preview(environment, commit("c"))
    (warning,) = made.warnings
    assert (warning.text, warning.detail) == (SENTENCE, "Remove spec.replicas from the manifest.")
    assert warning.subject == "kubernetes/staging/web.yaml:5"
    assert made.errors == ()


def test_the_page_shows_it(environment: Any, autoscaled: Outside, deployer: Any, client: Client) -> None:
    client.force_login(deployer)
    address = f"/projects/{environment.project.slug}/{environment.slug}/deploy/?see=1"
    page = client.get(address).content.decode()
    assert SENTENCE in page
    assert "kubernetes/staging/web.yaml:5" in page


def test_the_deploys_log_and_its_warnings_have_it(
    environment: Any, autoscaled: Outside, pushed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "refresh_soon", lambda pk: None)
    monkeypatch.setattr(pipeline, "rollout_steps", lambda work: None)
    deploy = make_deploy(environment, State.QUEUED, revision="c" * 40)
    pipeline.run(str(deploy.run_id), deploy.attempt)
    deploy.refresh_from_db()
    assert deploy.warnings == [SENTENCE]
    (told,) = [line for line in lines(chunks_after(deploy.run_id, 0)) if SENTENCE in line.text]
    assert told.level == "warning"
    assert told.text == f"kubernetes/staging/web.yaml:5: {SENTENCE} Remove spec.replicas from the manifest."


def test_without_a_number_there_is_nothing_to_say(environment: Any, autoscaled: Outside) -> None:
    autoscaled.files["web.yaml"] = WEB.replace(b"  replicas: 2\n", b"")
    assert preview(environment, commit("c")).findings == ()
