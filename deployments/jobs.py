"""RQ's entry points: thin, ids only."""

from __future__ import annotations

import structlog

from adapters.errors import ExternalError
from deployments.gate import automatic
from deployments.pipeline import pipeline

log = structlog.get_logger(__name__)


def run_deploy(run_id: str, attempt: int) -> None:
    """Works on one attempt at a deploy. Returns at once when the attempt is not current or another deploy goes first."""
    pipeline.run(run_id, attempt)


def deploy_green(environment_id: int) -> None:
    """Decides on the newest green build of an environment's rule."""
    try:
        automatic.decide(environment_id)
    except ExternalError as error:
        log.info("no automatic deploy yet", environment=environment_id, error=error.message)
