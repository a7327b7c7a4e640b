"""RQ's entry points of builds: thin, ids only."""

from __future__ import annotations

from builds.pipeline import pipeline


def run_build(run_id: str, attempt: int) -> None:
    """Works on one attempt at a build. Returns at once when the attempt is not current or other builds go first."""
    pipeline.run(run_id, attempt)
