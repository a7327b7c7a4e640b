"""Pull secrets: what stands in them by host, proof with the registry, and their passwords known to the redactor."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from core.redactor import MASK, redacting
from engine.cluster.client import ApiError
from registry.pull_secrets import pull_secret
from registry.secrets import credentials_of

PASSWORD = "canary-pull-password"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(config: Any, **more: Any) -> dict[str, Any]:
    text = config if isinstance(config, str) else json.dumps(config)
    return {
        "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": encoded(text)}, **more,
    }  # fmt: skip


GOOD = {"auths": {"r.example": {"auth": encoded(f"AWS:{PASSWORD}")}, "other.example": {"auth": "%%"}}}


def test_credentials_by_host() -> None:
    with redacting() as redactor:
        found = credentials_of(secret(GOOD))
        assert redactor.redact(f"{PASSWORD} {encoded(f'AWS:{PASSWORD}')}") == f"{MASK} {MASK}"
    assert list(found) == ["r.example"]
    assert (found["r.example"].username, found["r.example"].password) == ("AWS", PASSWORD)
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    "body",
    [
        secret(GOOD, type="Opaque"),
        secret("no JSON"),
        secret([]),
        secret({"auths": []}),
        secret({"auths": {"r.example": "x"}}),
        secret({"auths": {"r.example": {"auth": encoded("x")[:-1]}}}),
        secret(GOOD, data=None),
        secret(GOOD, data={".dockerconfigjson": "%%"}),
    ],
)
def test_what_cannot_be_read_holds_none(body: dict[str, Any]) -> None:
    with redacting():
        assert credentials_of(body) == {}


def test_what_cannot_be_read_is_hidden_all_the_same() -> None:
    with redacting() as redactor:
        assert credentials_of(secret(f"password {PASSWORD}\nwithout sense")) == {}
        assert PASSWORD not in redactor.redact(f"password {PASSWORD}")


class Cluster:
    """Answers with one Secret, or an error."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def request(self, method: str, path: str, **_: Any) -> Any:
        self.asked.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_secret_of_a_namespace() -> None:
    cluster = Cluster(secret(GOOD))
    with redacting():
        found = pull_secret(cluster, "shop", "registry")  # type: ignore[arg-type]
        assert found is not None
        assert list(found.credentials) == ["r.example"]
        missing = Cluster(ApiError("not found", status=404))
        assert pull_secret(missing, "shop", "registry") is None  # type: ignore[arg-type]
        refused = Cluster(ApiError("forbidden", status=403))
        with pytest.raises(ApiError):
            pull_secret(refused, "shop", "registry")  # type: ignore[arg-type]
    assert cluster.asked == ["/api/v1/namespaces/shop/secrets/registry"]


def test_without_a_redactor_the_cluster_is_not_even_asked() -> None:
    cluster = Cluster(secret(GOOD))
    with pytest.raises(RuntimeError, match="redactor"):
        pull_secret(cluster, "shop", "registry")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="redactor"):
        credentials_of(secret(GOOD, type="Opaque"))
    assert cluster.asked == []
