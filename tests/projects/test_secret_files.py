"""Secrets files are read in one place: registered before anything sees them, pinned, compared without their values."""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.aws.secrets_manager import SecretText
from adapters.errors import NotFound
from core.redactor import MASK, redacting
from core.secret_values import digest
from engine.errors import ManifestError
from engine.manifests.documents import Document
from engine.manifests.masking import key_digests
from engine.types import Source
from projects import connections
from projects.models import Environment
from projects.secret_files import (
    SecretChange,
    current_versions,
    fetch_secrets,
    moved,
    read_secret,
    read_text,
    secret_changes,
)
from tests.factories import allotted, make_environment, make_secrets_file

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

    def current_version(self, secret_id: str) -> str:
        if secret_id == "gone":
            raise NotFound("There is none.", system="Secrets Manager")
        return "current"


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
        fetch_secrets(environment, references={})
    assert manager.asked == []


def test_current_versions(manager: Manager, environment: Environment) -> None:
    with redacting() as redactor:
        found = fetch_secrets(environment, references={})
        assert redactor.redact(CANARY) == MASK
    assert [(one.path, one.version_id) for one in found] == [("a.yaml", "current"), ("b.yaml", "current")]
    assert CANARY not in repr(found)
    assert base64.b64encode(CANARY.encode()).decode() not in repr(found)


def test_given_versions_and_no_others(manager: Manager, environment: Environment) -> None:
    with redacting():
        found = fetch_secrets(environment, {"b.yaml": "v-7"}, references={})
    assert [(one.path, one.version_id) for one in found] == [("b.yaml", "v-7")]
    assert manager.asked == [("shop/b", "v-7")]


def test_a_file_that_the_environment_no_longer_has(manager: Manager, environment: Environment) -> None:
    with (
        redacting(),
        pytest.raises(ManifestError, match=r"secrets file c\.yaml, which the environment no longer"),
    ):
        fetch_secrets(environment, {"c.yaml": "v-7"}, references={})


def test_each_is_asked_for_as_the_caller_wants(manager: Manager, environment: Environment) -> None:
    asked: list[Any] = []

    def patiently(ask: Any) -> Any:
        asked.append(ask)
        return ask()

    with redacting():
        fetch_secrets(environment, references={}, patiently=patiently)
    assert len(asked) == 2


@pytest.mark.parametrize(
    "text",
    [f"TOKEN: '{CANARY}", f"TOKEN={CANARY}", f"kind: ConfigMap\ndata: {{TOKEN: {CANARY}}}", f"[{CANARY}, 1"],
)
def test_a_text_that_is_no_secrets_file_is_registered_before_its_error_leaves(text: str) -> None:
    with redacting() as redactor:
        with pytest.raises(ManifestError) as raised:
            read_secret(Manager(text), "shop/a", "a.yaml", reference=())  # type: ignore[arg-type]
        assert CANARY not in repr(raised.value.problems) + raised.value.message
        assert CANARY not in redactor.redact(text)


LABELLED = f"""apiVersion: v1
kind: Secret
metadata:
  name: app
  labels: {{part-of: storefront, tier: {CANARY}}}
# it was old-value-in-a-comment
stringData: {{TOKEN: {CANARY}}}
"""


@pytest.mark.parametrize(("text", "shown"), [(LABELLED, True), (f"{LABELLED}\n---\n- broken", False)])
def test_labels_are_no_values(text: str, shown: bool) -> None:
    """A project's name stands in the portal's own sentences and addresses. In a broken file it could be anything."""
    with redacting() as redactor:
        read_text(Manager(text), "shop/a")  # type: ignore[arg-type]
        said = redactor.redact(f"/projects/storefront/ {CANARY}")
    assert ("/projects/storefront/" in said) is shown
    assert CANARY not in said
    assert "old-value" not in redactor.redact("# it was old-value-in-a-comment")


def test_also_by_an_error_nobody_thought_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(text: str, **_: Any) -> None:
        raise ValueError(f"invalid literal: {text}")

    monkeypatch.setattr("projects.secret_files.read_secrets", breaks)
    with redacting() as redactor:
        with pytest.raises(ValueError, match="invalid literal") as raised:
            read_secret(Manager(text_of(TOKEN=CANARY)), "shop/a", "a.yaml", reference=())  # type: ignore[arg-type]
        shown = redactor.redact(f"{raised.value} {CANARY}")
    assert CANARY not in shown
    assert base64.b64encode(CANARY.encode()).decode().rstrip("=") not in shown


def test_changes_are_told_by_key(manager: Manager, environment: Environment) -> None:
    with redacting():
        before = fetch_secrets(environment, {"a.yaml": "v-1"}, references={})
        body = {**before[0].documents[0].body}
        body["metadata"] = {"name": "app", "namespace": "shop"}
        stored = [
            {"object": {"kind": "Service"}},
            {
                "secret": {"ref": "Secret/shop/app", "keys": key_digests(body, digest) | {"OLD": "0" * 16}},
                "from": {"file": "a.yaml"},
            },
        ]
        assert secret_changes(stored, before, environment) == [SecretChange("a.yaml", "OLD", "removed")]
        manager.text = text_of(TOKEN="another-value-1", NEW="x")
        after = fetch_secrets(environment, {"a.yaml": "v-2"}, references={})
    assert secret_changes(stored, after, environment) == [
        SecretChange("a.yaml", "NEW", "added"),
        SecretChange("a.yaml", "OLD", "removed"),
        SecretChange("a.yaml", "TOKEN", "changed"),
    ]


def secrets_text(**values: str) -> str:
    """Two Secrets with one key of the same name each."""
    return "---\n".join(
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{TOKEN: {value}}}\n"
        for name, value in values.items()
    )


def test_the_same_key_of_two_secrets_in_one_file_is_two_changes(
    manager: Manager, environment: Environment
) -> None:
    with redacting():
        manager.text = secrets_text(app="first-value-1", worker="second-value-1")
        before = fetch_secrets(environment, {"a.yaml": "v-1"}, references={})
        stored = [
            {
                "secret": {
                    "ref": f"Secret/shop/{document.body['metadata']['name']}",
                    "keys": key_digests(
                        {**document.body, "metadata": {**document.body["metadata"], "namespace": "shop"}},
                        digest,
                    ),
                },
                "from": {"file": "a.yaml"},
            }
            for document in before[0].documents
        ]
        assert secret_changes(stored, before, environment) == []
        manager.text = secrets_text(app="first-value-2", worker="second-value-1")
        (change,) = secret_changes(
            stored, fetch_secrets(environment, {"a.yaml": "v-2"}, references={}), environment
        )
        assert (change.secret, change.key, change.name) == ("app", "TOKEN", "app/TOKEN")
        manager.text = secrets_text(app="first-value-2", worker="second-value-2")
        both = secret_changes(
            stored, fetch_secrets(environment, {"a.yaml": "v-3"}, references={}), environment
        )
    assert [change.name for change in both] == ["app/TOKEN", "worker/TOKEN"]


def blank(name: str) -> list[Document]:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"TOKEN": ""}}
    return [Document(body, Source("a.yaml", 1))]


def test_a_flat_file_takes_its_name_from_the_reference_file(
    manager: Manager, environment: Environment
) -> None:
    manager.text = f'{{"TOKEN": "{CANARY}"}}'
    with redacting() as redactor:
        found = fetch_secrets(environment, references={"a.yaml": blank("app"), "b.yaml": blank("other")})
        assert redactor.redact(CANARY) == MASK
    assert [one.documents[0].body["metadata"]["name"] for one in found] == ["app", "other"]


def test_a_flat_file_without_a_reference_file_is_refused(manager: Manager, environment: Environment) -> None:
    manager.text = f'{{"TOKEN": "{CANARY}"}}'
    with redacting(), pytest.raises(ManifestError, match="the reference file holds no Secret") as raised:
        fetch_secrets(environment, references={"b.yaml": blank("other")})
    assert CANARY not in raised.value.message


def test_what_is_wrong_is_told_without_names_of_keys(manager: Manager, environment: Environment) -> None:
    manager.text = text_of(TOKEN=CANARY).replace("TOKEN: ", "TOKEN: x-")
    with redacting(), pytest.raises(ManifestError) as raised:
        fetch_secrets(environment, references={})
    assert "TOKEN" not in f"{raised.value.message}{raised.value.problems}"
    assert list(raised.value.key_names.values()) == [("TOKEN",)]


def test_a_pinned_version_that_is_gone_says_what_to_do(manager: Manager, environment: Environment) -> None:
    environment.secrets_files.filter(path="b.yaml").update(secret_id="gone")
    allotted(environment.secrets_files.get(path="b.yaml"))
    with redacting(), pytest.raises(NotFound) as raised:
        fetch_secrets(environment, {"b.yaml": "v-7"}, references={})
    assert "Deploy from a new preview" in raised.value.hint
    with redacting(), pytest.raises(NotFound) as raised:
        fetch_secrets(environment, {"b.yaml": ""}, references={})
    assert raised.value.hint == ""


def test_current_versions_are_asked_for_without_a_redactor(
    manager: Manager, environment: Environment
) -> None:
    assert current_versions(environment) == {"a.yaml": "current", "b.yaml": "current"}
    assert manager.asked == []


def test_what_aws_does_not_say_is_left_out(manager: Manager, environment: Environment) -> None:
    environment.secrets_files.filter(path="b.yaml").update(secret_id="gone")
    assert current_versions(environment) == {"a.yaml": "current"}


def test_aws_is_not_waited_for_long(
    manager: Manager, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.secret_files.HASTY_SECONDS", 0.1)
    released = threading.Event()
    monkeypatch.setattr(Manager, "current_version", lambda self, secret_id: released.wait(20) and "late")
    try:
        assert current_versions(environment) == {}
    finally:
        released.set()


def test_an_error_of_the_portal_is_not_taken_for_silence(
    manager: Manager, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manager, "current_version", lambda self, secret_id: {}["no"])
    with pytest.raises(KeyError):
        current_versions(environment)


def test_which_pinned_files_have_a_newer_version(manager: Manager, environment: Environment) -> None:
    assert moved(environment, {"a.yaml": "v-7", "b.yaml": "current", "c.yaml": "v-7"}) == ["a.yaml"]
    assert moved(environment, {"a.yaml": ""}) == []
    environment.secrets_files.filter(path="a.yaml").update(secret_id="gone")
    assert moved(environment, {"a.yaml": "v-7"}) == []
