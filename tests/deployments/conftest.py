"""What tests of deploys share: people, an environment, and a repository that answers without Git."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.git.repository import Commit
from deployments.gate import revisions
from projects import connections
from projects.models import Role
from tests.deployments.outside import FakeCluster, FakeEcr, FakeGit, FakeSecrets, Outside
from tests.factories import grant, make_environment, make_user

COMMITS = {
    "main": Commit("1" * 40, "Show prices", "Ana", datetime(2026, 11, 1, 9, 0, tzinfo=UTC)),
    "older": Commit("2" * 40, "Add a basket", "Ben", datetime(2026, 10, 1, 9, 0, tzinfo=UTC)),
}


@pytest.fixture
def commits(monkeypatch):
    """The repository knows `main` and `older`, by name and by id."""

    world = Outside(list(COMMITS.values()), {name: commit.sha for name, commit in COMMITS.items()})
    monkeypatch.setattr(revisions, "git_repository", lambda project: FakeGit(world))
    return COMMITS


@pytest.fixture
def environment(db):
    """An environment to deploy to."""
    return make_environment(slug="staging")


@pytest.fixture
def deployer(environment):
    """Somebody who may deploy there."""
    user = make_user("dev")
    grant(user, Role.DEPLOYER, environment.project)
    return user


@pytest.fixture
def viewer(environment):
    """Somebody who may only look."""
    user = make_user("viewer")
    grant(user, Role.VIEWER, environment.project)
    return user


@pytest.fixture
def pushed(monkeypatch):
    """What was handed to the queue, as (run id, attempt)."""
    calls = []
    monkeypatch.setattr("core.jobs.push", lambda func, ids, queue, job_id, **_: calls.append(ids) or True)
    monkeypatch.setattr(
        "runs.life.reconcile.push", lambda func, ids, queue, job_id, **_: calls.append(ids) or True
    )
    return calls


@pytest.fixture
def outside(monkeypatch):
    """Everything outside of the portal, in memory: the adapters are replaced where rows become adapters."""
    world = Outside()
    monkeypatch.setattr(connections, "GitRepository", lambda *_, **__: FakeGit(world))
    monkeypatch.setattr(connections, "SecretsManager", lambda *_, **__: FakeSecrets(world))
    monkeypatch.setattr(connections, "Ecr", lambda *_, **__: FakeEcr(world))
    monkeypatch.setattr(connections.KubernetesClient, "from_kubeconfig", lambda *_, **__: FakeCluster(world))
    return world
