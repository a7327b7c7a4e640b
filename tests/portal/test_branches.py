"""The default branch as rows."""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from deployments import branches
from deployments.models import BranchState
from tests.factories import make_project

pytestmark = pytest.mark.django_db


def git(folder, *words: str) -> str:
    identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    return subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path, settings):
    """A repository whose branch `main` has five commits of its own, one of which merges two others."""
    settings.GIT_PROTOCOLS = ("file",)
    settings.GIT_MIRRORS = tmp_path / "mirrors"
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    for n in range(3):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Change {n}")
    git(folder, "checkout", "-q", "-b", "feature")
    for n in range(2):
        git(folder, "commit", "-q", "--allow-empty", "-m", f"Feature {n}")
    git(folder, "checkout", "-q", "main")
    git(folder, "merge", "-q", "--no-ff", "-m", "Merge the feature", "feature")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Last change")
    return folder


def test_the_branch_along_first_parents(repository):
    project = make_project(repository_url=f"file://{repository}")
    state = branches.refresh_branch(project.pk)
    assert state.head == git(repository, "rev-parse", "main")
    assert [commit[1] for commit in state.commits] == [
        "Last change",
        "Merge the feature",
        "Change 2",
        "Change 1",
        "Change 0",
    ]
    assert state.commits[0][2] == "Ana"
    assert state.error == ""


def test_how_far_behind(repository):
    state = branches.refresh_branch(make_project(repository_url=f"file://{repository}").pk)
    assert branches.behind(state, state.head) == 0
    assert branches.behind(state, git(repository, "rev-parse", "main~2")) == 2
    assert branches.behind(state, git(repository, "rev-parse", "feature")) is None
    assert branches.behind(None, state.head) is None


def test_a_repository_that_is_gone_leaves_the_old_answer(repository, tmp_path):
    project = make_project(repository_url=f"file://{repository}")
    seen = branches.refresh_branch(project.pk)
    BranchState.objects.update(fetched_at=timezone.now() - timedelta(hours=1))
    project.default_branch = "trunk"
    project.save()
    missing = branches.refresh_branch(project.pk)
    assert (missing.commits, missing.fetched_at) == ([], None)
    assert "trunk" in missing.error
    assert BranchState.objects.get(branch="main").head == seen.head


def test_a_project_that_is_gone_is_nothing():
    assert branches.refresh_branch(0) is None


def test_what_is_due():
    fresh, old, never = make_project(), make_project(), make_project()
    now = timezone.now()
    BranchState.objects.create(project=fresh, branch="main", tried_at=now)
    BranchState.objects.create(project=old, branch="main", tried_at=now - timedelta(minutes=5))
    BranchState.objects.create(project=never, branch="elsewhere", tried_at=now)
    assert branches.due_projects() == [never.pk, old.pk]
