"""The pull secret is proved with the cluster's own credential, which is a secret like any other."""

from __future__ import annotations

import base64
import json
from contextvars import copy_context

import pytest

from adapters.errors import Denied, TimedOut
from core.redactor import redacting
from deployments.preparation import pull_check
from engine.manifests.render import ImagePin
from registry import pull_secrets
from tests.factories import make_environment, make_image

pytestmark = pytest.mark.django_db
PASSWORD = "canary-pull-password"


class Cluster:
    """Holds one pull secret."""

    def request(self, method, path, **_):
        auth = base64.b64encode(f"AWS:{PASSWORD}".encode()).decode()
        config = json.dumps({"auths": {"r.example": {"auth": auth}}})
        data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
        return {"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": data}


def test_its_password_is_known_to_the_redactor(monkeypatch):
    """Also when it is tried in a thread: what the registry says may quote it."""
    environment = make_environment(pull_secret="registry")
    image = make_image(environment.project)

    def refuse(self, repository, reference):
        raise Denied(
            f"Basic {base64.b64encode(f'AWS:{PASSWORD}'.encode()).decode()} is not known.", system="Registry"
        )

    monkeypatch.setattr(pull_secrets.Registry, "digest", refuse)
    pin = ImagePin(name="web", repository="r.example/shop/web", tag="abc", digest="")
    with redacting() as redactor:
        found = copy_context().run(
            pull_check.check_pull_secret, Cluster(), environment, [pin], {"web": image}
        )
        shown = redactor.redact(found[0].text + PASSWORD)
    assert "does not open r.example/shop/web" in shown
    assert PASSWORD not in shown
    assert base64.b64encode(f"AWS:{PASSWORD}".encode()).decode().rstrip("=") not in shown


def test_a_registry_that_does_not_answer_is_asked_once(monkeypatch):
    environment = make_environment(pull_secret="registry")
    image = make_image(environment.project)
    asked = []

    def silent(self, repository, reference):
        asked.append(repository)
        raise TimedOut("The registry r.example does not answer.", system="Registry")

    monkeypatch.setattr(pull_secrets.Registry, "digest", silent)
    pins = [ImagePin(name=name, repository=f"r.example/shop/{name}", tag="abc", digest="") for name in "abc"]
    with redacting():
        found = copy_context().run(
            pull_check.check_pull_secret, Cluster(), environment, pins, dict.fromkeys("abc", image)
        )
    assert [finding.text for finding in found] == [
        "The pull secret registry could not be tried: The registry r.example does not answer."
    ]
    assert len(asked) == 1
