"""A builder that does not exist stops the start."""

from __future__ import annotations

from typing import Any

import pytest

from core.checks import builder_is_known


@pytest.mark.parametrize(("builder", "errors"), [("", 0), ("buildkit", 0), ("classic", 0), ("kaniko", 1)])
def test_the_builder_of_the_settings(settings: Any, builder: str, errors: int) -> None:
    settings.DOCKER_BUILDER = builder
    assert len(builder_is_known()) == errors
