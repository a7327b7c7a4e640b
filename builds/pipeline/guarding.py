"""Keeps a build from images of the portal's registries that its Dockerfile does not name. Pure; uses no database.

A base image can have triggers (`ONBUILD`), which the Dockerfile that takes it does not show: `COPY --from=` of any image. So
triggers are read where the engine has the base image before the build, and what the engine loads during it is watched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.docker.faults import SYSTEM, BuildFailed
from builds.pipeline.bases import place, taken


@dataclass(frozen=True)
class Guard:
    """`hosts`: of the portal's registries; `named`: what the Dockerfile of each image takes, and was checked, as (host,
    repository), by the image's row."""

    hosts: frozenset[str] = frozenset()
    named: Mapping[int, frozenset[tuple[str, str]]] = field(default_factory=dict)

    def watch(self, pk: int, reference: str) -> None:
        """Called for each image that the engine loads for a build. Raises BuildFailed for one that it must not."""
        found = place(reference)
        if found[0] in self.hosts and found not in self.named.get(pk, frozenset()):
            raise _foreign(reference)

    def check_triggers(self, pk: int, base: str, triggers: Iterable[str]) -> None:
        """Raises BuildFailed when a trigger of a base image takes what the build must not."""
        found = taken("\n".join(["FROM scratch", *triggers]), {})
        if found.unclear:
            raise BuildFailed(
                f"What the base image {base} takes by a trigger (ONBUILD) cannot be told before the build: {found.unclear[0]}.",
                system=SYSTEM, hint="Use another base image.",
            )  # fmt: skip
        for name in found.names:
            self.watch(pk, name)


def _foreign(reference: str) -> BuildFailed:
    return BuildFailed(
        f"The build was stopped: it takes {reference}, which its Dockerfile does not name.", system=SYSTEM,
        hint="A trigger (ONBUILD) of a base image takes it. Use another base image, or name the image in the Dockerfile.",
    )  # fmt: skip
