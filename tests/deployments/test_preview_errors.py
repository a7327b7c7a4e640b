"""The preview shows each error as a finding and never shows a secret value, not even after an unforeseen error."""

from __future__ import annotations

import logging

import pytest

from core.redactor import current
from deployments.preparation import preparation, prepare, preview
from engine.errors import ManifestError
from tests.deployments.conftest import COMMITS

pytestmark = pytest.mark.django_db
CANARY = "canary-31c0-value"


@pytest.fixture(autouse=True)
def no_commits(monkeypatch):
    monkeypatch.setattr(preview, "with_commits", lambda made, environment: made)
    monkeypatch.setattr(preparation, "files_at", lambda environment, sha: {})


def fails_with(monkeypatch, error):
    def read(environment, files):
        current().add([CANARY])
        raise error

    monkeypatch.setattr(prepare, "read", read)


def test_an_unforeseen_error_is_a_finding_and_logged_without_values(environment, monkeypatch, caplog):
    fails_with(monkeypatch, ValueError(f"invalid literal: {CANARY}"))
    with caplog.at_level(logging.ERROR):
        made = preview.preview(environment, COMMITS["main"])
    assert [finding.state for finding in made.errors] == ["failed"]
    assert CANARY not in repr(made)
    assert CANARY not in str(caplog.records[-1].msg)


def test_what_is_wrong_with_the_files_is_told_without_values(environment, monkeypatch):
    error = ManifestError(f"a.yaml:1: {CANARY}", problems=(f"a.yaml:1: {CANARY}",), hint=CANARY)
    fails_with(monkeypatch, error)
    made = preview.preview(environment, COMMITS["main"])
    assert "a.yaml:1" in made.errors[0].text
    assert CANARY not in repr(made)
