"""The Git end: real history, over HTTP, only with the token."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.git.server import make_git_server
from sandbox.samples.history import make_repository
from sandbox.samples.storefront import STOREFRONT
from sandbox.web import Server

START = datetime(2026, 6, 1, 12, tzinfo=UTC)
TOKEN = "tok"


def git(*args: str, cwd: Path | None = None, token: str = "") -> subprocess.CompletedProcess[str]:
    header = "Authorization: Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
    env = {
        "PATH": os.environ["PATH"],
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "T",
        "GIT_AUTHOR_EMAIL": "t@example.com",
        "GIT_COMMITTER_NAME": "T",
        "GIT_COMMITTER_EMAIL": "t@example.com",
    }
    extra = ["-c", f"http.extraHeader={header}"] if token else []
    return subprocess.run(
        ["git", *extra, *args], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    make_repository(STOREFRONT, folder / "storefront.git", start=START, registry_host="127.0.0.1:5000")
    return folder


@pytest.fixture
def url(repositories: Path, serve: Callable[[Server], str]) -> str:
    return serve(make_git_server(repositories, 0, TOKEN)) + "/storefront.git"


@pytest.mark.parametrize("token", ["", "wrong"])
def test_nobody_clones_without_the_token(url: str, tmp_path: Path, token: str) -> None:
    done = git("clone", "--quiet", "--", url, str(tmp_path / "clone"), token=token)
    assert done.returncode != 0
    assert not (tmp_path / "clone" / "README.md").exists()


def test_a_clone_has_the_whole_history(url: str, tmp_path: Path) -> None:
    done = git("clone", "--quiet", "--", url, str(tmp_path / "clone"), token=TOKEN)
    assert done.returncode == 0, done.stderr
    log = git("log", "--format=%an", "main", "--", cwd=tmp_path / "clone").stdout.splitlines()
    everything = git("log", "--format=%an", cwd=tmp_path / "clone").stdout.splitlines()
    assert len(everything) == len(STOREFRONT.main) >= 12
    assert len(set(everything)) >= 3
    assert len(log) == len(everything)
    for branch, changes in STOREFRONT.branches:
        found = git("log", "--format=%s", f"origin/main..origin/{branch}", cwd=tmp_path / "clone")
        assert found.stdout.splitlines() == [change.subject for change in reversed(changes)]


def test_work_on_a_clone_can_be_pushed(url: str, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "--quiet", "--", url, str(clone), token=TOKEN)
    (clone / "big.bin").write_bytes(
        os.urandom(3_000_000)
    )  # more than Git sends in one piece: comes in chunks
    git("add", ".", cwd=clone)
    git("commit", "--quiet", "-m", "More", cwd=clone)
    done = git("push", "--quiet", "origin", "HEAD:refs/heads/more", cwd=clone, token=TOKEN)
    assert done.returncode == 0, done.stderr
    there = git("ls-remote", url, "refs/heads/more", token=TOKEN).stdout.split()
    assert there[0] == git("rev-parse", "HEAD", cwd=clone).stdout.strip()


def test_the_same_start_gives_the_same_commits(tmp_path: Path) -> None:
    one, two, later = (
        [
            revision.commit
            for revision in make_repository(
                STOREFRONT, tmp_path / name, start=start, registry_host="127.0.0.1:5000"
            )
        ]
        for name, start in (("one", START), ("two", START), ("later", START.replace(year=2027)))
    )
    assert one == two
    assert not set(one) & set(later)


def test_the_registry_stands_in_the_manifests(tmp_path: Path) -> None:
    revisions = make_repository(STOREFRONT, tmp_path / "r", start=START, registry_host="127.0.0.1:5001")
    worker = revisions[-1].files["kubernetes/staging/worker.yaml"].decode()
    assert "image: 127.0.0.1:5001/storefront/worker:latest" in worker
