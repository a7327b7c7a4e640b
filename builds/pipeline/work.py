"""The state of one attempt at a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.docker.engine import Engine
from adapters.docker.session import Login
from adapters.docker.wire import Stopper
from adapters.errors import ExternalError
from adapters.git.snapshot import Snapshot
from builds.models import Build
from builds.pipeline.guarding import Guard
from engine.errors import SlipwayError
from projects.models import Project
from runs.life.attempt import Attempt


@dataclass(frozen=True)
class Tools:
    """What the threads of an attempt share. `secrets`: values by the id of the mount; `logins`: credentials by the host of a
    registry; `most_bytes`: of a context; `silence`: the most seconds without a word of the engine; `guard`: which images of the
    portal's registries builds may take; `network`: of the steps `RUN`."""

    engine: Engine
    snapshot: Snapshot
    stopper: Stopper
    most_bytes: int
    silence: float
    guard: Guard = field(default_factory=Guard)
    network: str = ""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    logins: Mapping[str, Login] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Trouble:
    """An image that could not be made, and why."""

    image: str
    error: ExternalError


class ImagesFailed(SlipwayError):
    """At least one image could not be made."""

    def __init__(self, troubles: list[Trouble]) -> None:
        first = troubles[0]
        more = f" And {len(troubles) - 1} more." if troubles[1:] else ""
        super().__init__(f"{first.image}: {first.error.message}{more}", hint=first.error.hint)
        self.troubles = troubles


class NotBuildable(SlipwayError):
    """The project's settings or the revision do not let it build."""


@dataclass
class Work(Attempt[Build]):
    """One attempt. `tools` are made in the step `checkout`."""

    tools: Tools | None = None
    stopper: Stopper = field(default_factory=Stopper)

    @property
    def build(self) -> Build:
        """The build."""
        return self.run

    @property
    def project(self) -> Project:
        """The build's project."""
        return self.run.project

    @property
    def tools_or_fail(self) -> Tools:
        """The tools, after the step `checkout`."""
        if self.tools is None:
            raise RuntimeError("The step checkout has not run.")
        return self.tools

    def close(self) -> None:
        """Ends what is still under way at the engine."""
        self.stopper.stop()
