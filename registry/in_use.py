"""Which images the environments of a project were last deployed with. Apps of higher floors know, and tell it here: each adds a
function in its `AppConfig.ready`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from projects.models import Project


@dataclass(frozen=True)
class Deployed:
    """An image of a release. `tag` or `digest` may be empty."""

    repository: str
    tag: str
    digest: str


Source = Callable[[Project], Mapping[int, Sequence[Deployed]]]
_sources: list[Source] = []


def register(source: Source) -> None:
    """Adds a function that gives the images by the environments' primary keys; it reads the database alone."""
    if source not in _sources:
        _sources.append(source)


def deployed(project: Project, reference: str) -> dict[int, set[str]]:
    """The tags and digests of one repository (`reference`) that each environment was last deployed with."""
    found: dict[int, set[str]] = {}
    for source in _sources:
        for environment, images in source(project).items():
            names = {name for one in images if one.repository == reference for name in (one.tag, one.digest)}
            found.setdefault(environment, set()).update(names - {""})
    return found
