"""RQ's entry points: thin, ids only."""

from __future__ import annotations

from deployments.pipeline import pipeline


def run_deploy(run_id: str, attempt: int) -> None:
    """Works on one attempt of a deploy; ends at once when the attempt is not the current one or it is not its turn."""
    pipeline.run(run_id, attempt)
