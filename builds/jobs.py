"""RQ's entry points of builds: thin, ids only."""

from __future__ import annotations

from builds import engine, following
from builds.pipeline import pipeline


def run_build(run_id: str, attempt: int) -> None:
    """Works on one attempt at a build. Returns at once when the attempt is not current or other builds go first."""
    pipeline.run(run_id, attempt)


def build_for_others(build_id: int) -> None:
    """Asks for a build for the branches and tags that a build took up too late."""
    following.build_for_others(build_id)


def tend_engine() -> None:
    """Asks the Docker engine how it is, and makes room in it once an hour."""
    engine.tend()
