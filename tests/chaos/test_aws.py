"""AWS that denies, throttles, falls silent: plain words, and nothing changed on the cluster."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler

import pytest

from tests.chaos.breaking import impostor, silent
from tests.e2e.fixtures import People, Slow
from tests.e2e.running import Running

pytestmark = [pytest.mark.slow, pytest.mark.any_database]
SILENCE = 12.0  # seconds: longer than one answer is waited for


def refuse(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
    """Storefront is denied, catalog is throttled."""
    if not request.headers.get("X-Amz-Target", "").startswith("secretsmanager"):
        return 503, b"{}"
    if b"storefront" in body:
        said = "User: arn:aws:iam::000000000000:user/portal is not authorized to perform: secretsmanager:GetSecretValue"
        return 400, json.dumps({"__type": "AccessDeniedException", "Message": said}).encode()
    return 400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()


def generation(sandbox: Running, namespace: str) -> dict[str, int]:
    """The generation of each Deployment: it grows with every change of what is wanted."""
    found = sandbox.objects("apis/apps/v1", namespace, "deployments")
    return {item["metadata"]["name"]: item["metadata"]["generation"] for item in found}


def test_denied_and_throttled(sandbox: Running, people: People, slow: Slow) -> None:
    dev, port = people("dev"), sandbox.ports["aws"]
    namespaces = ("storefront-staging", "catalog-staging")
    commits = slow("storefront"), slow("catalog")
    before = [generation(sandbox, namespace) for namespace in namespaces]
    with impostor(sandbox.pids("sandbox.aws")[0], port, refuse):
        denied = dev.deploy("storefront", "staging", commits[0])
        throttled = dev.deploy("catalog", "staging", commits[1])
        ends = [sandbox.ended(denied), sandbox.ended(throttled)]
    for found in ends:
        assert found["state"] == "errored"
        assert "Nothing was changed on the cluster." in found["hint"]
        assert "Traceback" not in found["result"]
    assert "slipway/storefront/staging" in ends[0]["result"]
    assert "secretsmanager:GetSecretValue" in ends[0]["result"] + ends[0]["hint"]
    assert "asks us to slow down" in ends[1]["result"]
    assert [generation(sandbox, namespace) for namespace in namespaces] == before
    assert sandbox.ended(dev.deploy("storefront", "staging", "main"))["state"] == "succeeded"


def test_silent_for_a_while(sandbox: Running, people: People) -> None:
    """Longer than one answer is waited for: asked again, and the deploy succeeds."""
    dev = people("dev")
    with silent(sandbox.pids("sandbox.aws")[0]):
        number = dev.deploy("catalog", "staging", "main")
        sandbox.reaches(number, "secrets")
        time.sleep(SILENCE)  # the silence itself is what is tested
        assert sandbox.deploy(number)["state"] == "running"
    found = sandbox.ended(number)
    assert found["state"] == "succeeded", found["result"]
