"""Build secrets that cannot be read: the refusal names the build secret and where it is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapters.aws.secret_errors import deleted
from adapters.errors import ExternalError, NotFound
from builds.models import BuildSecret
from builds.pipeline.secrets import read

SECRET = BuildSecret(name="npm", region="eu-west-2", secret_id="team/npm")


def asked(error: ExternalError) -> ExternalError:
    """What `read` makes of an answer of AWS."""

    def patiently(ask: Callable[[], Any]) -> Any:
        raise error

    with pytest.raises(ExternalError) as refused:
        read([SECRET], patiently)
    return refused.value


def test_one_that_aws_does_not_have_is_corrected_in_the_build_rules() -> None:
    found = asked(
        NotFound("There is no secret.", system="Secrets Manager", hint="In the environment's settings.")
    )
    assert found.message == "There is no secret."
    assert "build secret npm in the project's build rules" in found.hint
    assert "environment" not in found.hint


def test_one_that_is_deleted_is_restored_in_aws() -> None:
    assert asked(deleted("team/npm")).hint.startswith("Restore the secret in AWS")
