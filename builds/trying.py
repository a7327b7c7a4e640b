"""Live validation of a build secret: is it in AWS, with the key that it names? No value is shown or kept."""

from __future__ import annotations

from functools import partial

from adapters.errors import ExternalError
from builds.models import BuildSecret
from builds.pipeline.secrets import read
from builds.pipeline.work import NotBuildable
from core.findings import FAILED, PASSED, Finding
from engine.errors import SlipwayError
from projects import checking


def findings(secret: BuildSecret) -> list[Finding]:
    """What AWS says of a build secret, saved or not. What is missing may be added later, so that can be overridden. Raises
    RuntimeError where no redactor is in force."""
    return checking.run([partial(_findings, secret)])


def _findings(secret: BuildSecret) -> list[Finding]:
    try:
        read([secret], lambda ask: ask())
    except NotBuildable as error:
        return [Finding(FAILED, error.message, error.hint, "key", can_override=True)]
    except ExternalError as error:
        return [checking.trouble(error, "secret_id", may_come=True)]
    except SlipwayError as error:
        return [Finding(FAILED, error.message, error.hint, "secret_id")]
    return [Finding(PASSED, "The secret is there and has the value.")]
