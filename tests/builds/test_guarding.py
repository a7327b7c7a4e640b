"""What a build must not take although its Dockerfile does not show it: triggers of base images, and what the engine loads."""

from __future__ import annotations

import pytest

from adapters.docker.engine import named
from adapters.docker.faults import BuildFailed
from builds.pipeline.guarding import Guard

GUARD = Guard(frozenset({"r.example"}), {1: frozenset({("r.example", "team/base")})})


@pytest.mark.parametrize(
    "reference", ["r.example/team/base:2", "docker.io/library/python:3", "python", "x.example/a"]
)
def test_what_may_be_loaded(reference: str) -> None:
    GUARD.watch(1, reference)


@pytest.mark.parametrize("reference", ["r.example/team/other", "R.EXAMPLE:443/team/other@sha256:0"])
def test_what_the_dockerfile_does_not_name_stops_the_build(reference: str) -> None:
    with pytest.raises(BuildFailed, match="which its Dockerfile does not name"):
        GUARD.watch(1, reference)
    with pytest.raises(BuildFailed):
        GUARD.watch(2, "r.example/team/base")  # named by another image's


@pytest.mark.parametrize(
    "trigger",
    [
        "COPY --from=r.example/team/other / /",
        "copy --fr\\om=r.example/team/other / /",
        "RUN --mount=type=bind,from=r.example/team/other,target=/x cp -r /x /y",
        "COPY --from=$X / /",
    ],
)
def test_triggers_of_a_base_image(trigger: str) -> None:
    with pytest.raises(BuildFailed):
        GUARD.check_triggers(1, "evil/base", ["RUN true", trigger])


def test_harmless_triggers() -> None:
    GUARD.check_triggers(1, "node", ["COPY . /app", "RUN npm ci", "COPY --from=r.example/team/base /a /b"])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("python", ("python", "latest")),
        ("r.example:5000/a", ("r.example:5000/a", "latest")),
        ("r.example:5000/a:1", ("r.example:5000/a", "1")),
        ("a:1@sha256:0", ("a:1", "sha256:0")),
    ],
)
def test_repository_and_tag(name: str, found: tuple[str, str]) -> None:
    assert named(name) == found
