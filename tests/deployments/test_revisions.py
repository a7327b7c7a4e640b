"""Resolves a typed revision to a commit, with as few fetches as possible."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.errors import NotFound, Unavailable
from adapters.git.repository import Commit
from core.errors import Refused
from deployments.gate import revisions
from projects import connections

COMMIT = Commit("1" * 40, "Show prices", "Ana", datetime(2026, 11, 1, tzinfo=UTC))


class Repository:
    """Knows a commit after so many fetches; notes how fresh each fetch had to be."""

    def __init__(self, after=0, fresh=False):
        self.after, self.fresh, self.fetches = after, fresh, []

    def fetch(self, max_age):
        self.fetches.append(max_age)
        return max_age == 0.0 or self.fresh

    def resolve(self, text):
        if len(self.fetches) < self.after:
            raise NotFound(f"no revision {text}", system="Git")
        return COMMIT


def resolve(monkeypatch, repository, text):
    monkeypatch.setattr(revisions, "git_repository", lambda project: repository)
    return revisions.resolve(None, text)


def test_a_known_commit_needs_no_recent_fetch_but_a_branch_does(monkeypatch):
    for text, age in ((COMMIT.sha, revisions.COMMIT_SECONDS), ("main", revisions.BRANCH_SECONDS)):
        repository = Repository()
        assert resolve(monkeypatch, repository, f" {text} ") == COMMIT
        assert repository.fetches == [age]


def test_a_commit_pushed_a_moment_ago_is_looked_for_once_more(monkeypatch):
    repository = Repository(after=2)
    assert resolve(monkeypatch, repository, COMMIT.sha) == COMMIT
    assert repository.fetches[-1] == 0.0


def test_what_a_fresh_fetch_does_not_bring_is_refused(monkeypatch):
    repository = Repository(after=9, fresh=True)
    with pytest.raises(Refused) as refusal:
        resolve(monkeypatch, repository, "nope")
    assert refusal.value.code == "unknown-revision"
    assert len(repository.fetches) == 1


def test_a_repository_that_is_gone_is_no_refusal(monkeypatch):
    repository = Repository()
    repository.fetch = lambda max_age: (_ for _ in ()).throw(Unavailable("down", system="Git"))
    with pytest.raises(Unavailable):
        resolve(monkeypatch, repository, "main")


def test_a_person_waits_for_git_a_short_time(monkeypatch):
    """A worker may wait for minutes; who presses a button may not."""
    asked = []
    monkeypatch.setattr(
        connections, "git_repository", lambda project, **more: asked.append(more) or Repository()
    )
    monkeypatch.setattr(revisions, "newest", lambda repository, name: COMMIT)
    assert revisions.resolve(None, "main") == COMMIT
    assert asked == [{"patience": connections.WAITING_SECONDS}]
    assert connections.WAITING_SECONDS <= 10
