"""Secrets files are read in one place: registered before anything sees them, pinned, compared without their values."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.aws.secrets_manager import SecretText
from adapters.errors import NotFound
from core.redactor import MASK, redacting
from core.secret_values import digest
from engine.errors import ManifestError
from engine.manifests.masking import key_digests
from projects import connections
from projects.models import Environment
from projects.secret_files import SecretChange, fetch_secrets, read_secret, secret_changes
from tests.factories import make_environment, make_secrets_file

pytestmark = pytest.mark.django_db
CANARY = "canary-value-92e0"


def text_of(**values: str) -> str:
    rows = "".join(f"  {key}: {base64.b64encode(value.encode()).decode()}\n" for key, value in values.items())
    return f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ndata:\n{rows}"


class Manager:
    """Secrets Manager with one text for every secret; remembers what it was asked for."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[tuple[str, str]] = []

    def get(self, secret_id: str, version_id: str = "") -> SecretText:
        self.asked.append((secret_id, version_id))
        if secret_id == "gone":
            raise NotFound("There is none.", system="Secrets Manager")
        return SecretText(version_id or "current", self.text, datetime(2026, 11, 1, tzinfo=UTC))


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    made = Manager(text_of(TOKEN=CANARY))
    monkeypatch.setattr(connections, "SecretsManager", lambda *_, **__: made)
    return made


@pytest.fixture
def environment() -> Environment:
    environment = make_environment(namespace="shop")
    make_secrets_file(environment, path="a.yaml", secret_id="shop/a")
    make_secrets_file(environment, path="b.yaml", secret_id="shop/b")
    return environment


def test_without_a_redactor_aws_is_not_even_asked(manager: Manager, environment: Environment) -> None:
    with pytest.raises(RuntimeError, match="redactor"):
        fetch_secrets(environment)
    assert manager.asked == []


def test_current_versions(manager: Manager, environment: Environment) -> None:
    with redacting() as redactor:
        found = fetch_secrets(environment)
        assert redactor.redact(CANARY) == MASK
    assert [(one.path, one.version_id) for one in found] == [("a.yaml", "current"), ("b.yaml", "current")]
    assert CANARY not in repr(found)
    assert base64.b64encode(CANARY.encode()).decode() not in repr(found)


def test_given_versions_and_no_others(manager: Manager, environment: Environment) -> None:
    with redacting():
        found = fetch_secrets(environment, {"b.yaml": "v-7"})
    assert [(one.path, one.version_id) for one in found] == [("b.yaml", "v-7")]
    assert manager.asked == [("shop/b", "v-7")]


def test_a_file_that_the_environment_no_longer_has(manager: Manager, environment: Environment) -> None:
    with (
        redacting(),
        pytest.raises(ManifestError, match=r"secrets file c\.yaml, which the environment no longer"),
    ):
        fetch_secrets(environment, {"c.yaml": "v-7"})


def test_each_is_asked_for_as_the_caller_wants(manager: Manager, environment: Environment) -> None:
    asked: list[Any] = []

    def patiently(ask: Any) -> Any:
        asked.append(ask)
        return ask()

    with redacting():
        fetch_secrets(environment, patiently=patiently)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "text",
    [f"TOKEN: '{CANARY}", f"TOKEN={CANARY}", f"kind: ConfigMap\ndata: {{TOKEN: {CANARY}}}", f"[{CANARY}, 1"],
)
def test_a_text_that_is_no_secrets_file_is_registered_before_its_error_leaves(text: str) -> None:
    with redacting() as redactor:
        with pytest.raises(ManifestError) as raised:
            read_secret(Manager(text), "shop/a", "a.yaml")  # type: ignore[arg-type]
        assert CANARY not in repr(raised.value.problems) + raised.value.message
        assert CANARY not in redactor.redact(text)


def test_also_by_an_error_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(text: str, *, path: str) -> None:
        raise ValueError(f"invalid literal: {text}")

    monkeypatch.setattr("projects.secret_files.parse_secrets_file", breaks)
    with redacting() as redactor:
        with pytest.raises(ValueError, match="invalid literal") as raised:
            read_secret(Manager(text_of(TOKEN=CANARY)), "shop/a", "a.yaml")  # type: ignore[arg-type]
        shown = redactor.redact(f"{raised.value} {CANARY}")
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode().rstrip("=") not in shown


def test_changes_are_told_by_key(manager: Manager, environment: Environment) -> None:
    with redacting():
        before = fetch_secrets(environment, {"a.yaml": "v-1"})
        body = {**before[0].documents[0].body}
        body["metadata"] = {"name": "app", "namespace": "shop"}
        stored = [
            {"object": {"kind": "Service"}},
            {"secret": {"keys": key_digests(body, digest) | {"OLD": "0" * 16}}, "from": {"file": "a.yaml"}},
        ]
        assert secret_changes(stored, before, "shop") == [SecretChange("a.yaml", "OLD", "removed")]
        manager.text = text_of(TOKEN="another-value-1", NEW="x")
        after = fetch_secrets(environment, {"a.yaml": "v-2"})
    assert secret_changes(stored, after, "shop") == [
        SecretChange("a.yaml", "NEW", "added"),
        SecretChange("a.yaml", "OLD", "removed"),
        SecretChange("a.yaml", "TOKEN", "changed"),
    ]
