"""A deploy driven through its steps up to the first write, with everything outside in memory."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.models import Deploy
from deployments.pipeline import pipeline
from runs.log import every_chunk, lines
from tests.deployments.outside import POPULATED, REFERENCE, Outside
from tests.factories import make_secrets_file

OTHER = POPULATED.replace("Y2FuYXJ5LXRva2VuLXZhbHVl", "Y2FuYXJ5LW90aGVyLXZhbHVl")  # canary-other-value
FLAT = '{"TOKEN": "canary-token-value"}'
OTHER_FLAT = '{"TOKEN": "canary-other-value"}'


def reader(name: str, key: str = "TOKEN") -> bytes:
    """A Deployment that reads a key of the Secret."""
    return f"""apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: {name}
        image: nginx:1.27
        env: [{{name: A, valueFrom: {{secretKeyRef: {{name: app, key: {key}}}}}}}]
""".encode()


def with_secrets(environment: Any, outside: Outside, text: str = POPULATED) -> None:
    """The environment has a secrets file, of which AWS holds `text`, and a workload that reads it."""
    make_secrets_file(environment, path="secret.yaml", secret_id="app")
    outside.files |= {"secret.yaml": REFERENCE, "web.yaml": reader("web")}
    outside.secrets["app"] = text


@pytest.fixture
def without_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes after the preflight succeeds at once."""
    monkeypatch.setattr(pipeline, "rollout_steps", lambda work: None)


def drive(deploy: Deploy) -> Deploy:
    """Works on a deploy to its end."""
    pipeline.run(str(deploy.run_id), deploy.attempt)
    return Deploy.objects.select_related("release", "environment").get(pk=deploy.pk)


def said(deploy: Deploy) -> str:
    """Its log."""
    return "\n".join(line.text for line in lines(list(every_chunk(deploy.run_id))))
