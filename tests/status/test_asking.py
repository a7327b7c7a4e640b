"""Systems that nobody has asked for some minutes are asked by jobs; what they answer is noted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from adapters.errors import Denied, ExternalError, Unavailable
from core.models import Contact
from portal.status import asking
from portal.status.asking import ask, ask_cluster, ask_quiet
from projects import contacts, reachability
from projects.models import Cluster
from tests.factories import make_cluster, make_project, make_registry

pytestmark = pytest.mark.django_db
GONE = Unavailable("Nobody is there.", system="x", hint="Look at the network.")


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(
        asking, "enqueue", lambda name, *ids, queue, job_id: found.append((name.rpartition(".")[2], *ids))
    )
    return found


def test_only_quiet_systems_are_asked(enqueued: list[tuple[Any, ...]], settings: Any) -> None:
    settings.SLACK_BOT_TOKEN = "xoxb-test"
    make_project(repository_url="https://git.example/shop.git")
    make_project(repository_url="https://git.example/other.git")
    make_registry(endpoint="https://registry.example", region="eu-west-2")
    quiet = make_cluster()
    make_cluster(last_seen=timezone.now())
    contacts.note_answer("slack")
    contacts.note_error("git git.example", GONE)
    ask_quiet()
    assert enqueued == [
        ("ask", "aws eu-west-2"),
        ("ask", "registry registry.example"),
        ("ask_cluster", quiet.pk),
    ]
    enqueued.clear()
    Contact.objects.update(tried_at=Now() - timedelta(seconds=200))
    ask_quiet()
    assert ("ask", "slack") in enqueued
    assert ("ask", "git git.example") in enqueued


def test_without_slack_it_is_not_asked(enqueued: list[tuple[Any, ...]], settings: Any) -> None:
    settings.SLACK_BOT_TOKEN = ""
    ask_quiet()
    assert enqueued == []


def test_github_is_asked_where_there_is_a_token(enqueued: list[tuple[Any, ...]], settings: Any) -> None:
    settings.GITHUB_TOKEN = "ghp_test"
    ask_quiet()
    assert enqueued == [("ask", "github")]


class Answers:
    """An adapter whose every call ends so."""

    def __init__(self, error: ExternalError | None) -> None:
        self._error = error

    def _end(self, *_: Any, **__: Any) -> None:
        if self._error is not None:
            raise self._error

    check = answer = probe = caller = _end

    def close(self) -> None: ...


def answer_so(monkeypatch: pytest.MonkeyPatch, error: ExternalError | None) -> None:
    it = Answers(error)
    for name in ("Slack", "GitHub", "RegistryClient", "git_repository", "hasty_client"):
        monkeypatch.setattr(asking, name, lambda *_, **__: it)
    monkeypatch.setattr(asking, "identity", it)


NAMES = ("slack", "github", "registry registry.example", "git git.example", "aws eu-west-2")


@pytest.fixture
def rows(db: None) -> None:
    make_project(repository_url="https://git.example/shop.git")
    make_registry(endpoint="https://registry.example")


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_noted(name: str, rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_so(monkeypatch, None)
    ask(name)
    assert Contact.objects.get(name=name).answered_at is not None


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_is_noted(name: str, rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_so(monkeypatch, GONE)
    ask(name)
    found = Contact.objects.get(name=name)
    assert (found.error, found.hint) == (GONE.message, GONE.hint)


@pytest.mark.parametrize(("name", "counts"), [(name, not name.startswith("git ")) for name in NAMES])
def test_a_refused_credential_counts_but_for_git_where_each_project_has_its_own(
    name: str, counts: bool, rows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_so(monkeypatch, Denied("Not with that.", system="x"))
    ask(name)
    assert bool(Contact.objects.get(name=name).error) == counts


def test_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = make_cluster()
    answer_so(monkeypatch, GONE)
    ask_cluster(cluster.pk)
    assert Cluster.objects.get().last_error == GONE.message
    answer_so(monkeypatch, None)
    ask_cluster(cluster.pk)  # it did not answer a moment ago
    assert Cluster.objects.get().last_error == GONE.message
    monkeypatch.setattr(reachability, "why_down", lambda pk: None)
    ask_cluster(cluster.pk)
    found = Cluster.objects.get()
    assert (found.last_error, found.last_seen is not None) == ("", True)
    ask_cluster(cluster.pk + 1)  # it was removed meanwhile
