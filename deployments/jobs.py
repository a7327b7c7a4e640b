"""RQ's entry points: thin, ids only."""

from __future__ import annotations

from deployments.pipeline import pipeline


def run_deploy(run_id: str, attempt: int) -> None:
    """Works on one attempt at a deploy. Returns at once when the attempt is not current or another deploy goes first."""
    pipeline.run(run_id, attempt)
