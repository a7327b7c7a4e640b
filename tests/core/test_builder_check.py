"""A builder or a network of builds that does not exist stops the start."""

from __future__ import annotations

from typing import Any

import pytest

from core.checks import build_network_is_known, builder_is_known


@pytest.mark.parametrize(("builder", "errors"), [("", 0), ("buildkit", 0), ("classic", 0), ("kaniko", 1)])
def test_the_builder_of_the_settings(settings: Any, builder: str, errors: int) -> None:
    settings.DOCKER_BUILDER = builder
    assert len(builder_is_known()) == errors


@pytest.mark.parametrize(("network", "errors"), [("", 0), ("none", 0), ("host", 1), ("None", 1)])
def test_the_network_of_the_settings(settings: Any, network: str, errors: int) -> None:
    settings.BUILD_NETWORK = network
    assert len(build_network_is_known()) == errors
