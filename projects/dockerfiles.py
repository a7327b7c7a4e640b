"""Proposes images for the Dockerfiles among a repository's paths. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from projects.models import Image
from projects.validators import RELATIVE_PATH, REPOSITORY

MOST = 30
# Files below these are samples, copies or other people's.
NOT_OURS = frozenset({"node_modules", "vendor", "third_party", "testdata", "fixtures", ".git", ".github"})
_OWN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Proposal:
    """One image that could be added: the fields of the form for a new image."""

    name: str
    dockerfile: str
    context: str
    repository: str


def proposals(slug: str, paths: Iterable[str], images: Iterable[Image]) -> list[Proposal]:
    """The proposals for these files, without the Dockerfiles and names that images have. Pure."""
    existing = list(images)
    taken = {image.name for image in existing}
    known = {_plain(image.dockerfile) for image in existing}
    made: list[Proposal] = []
    for path in sorted(filter(is_dockerfile, paths), key=lambda path: (path.count("/"), path))[:MOST]:
        if path in known:
            continue
        name = _free(name_of(path), taken)
        taken.add(name)
        made.append(Proposal(name, path, context_of(path), f"{slug}/{name}"))
    return [one for one in made if _passes(REPOSITORY, one.repository)]


def is_dockerfile(path: str) -> bool:
    """Whether a path is a Dockerfile of the project's own: `Dockerfile`, `Dockerfile.worker`, `worker.Dockerfile`."""
    *folders, name = path.split("/")
    lower = name.lower()
    named = lower == "dockerfile" or lower.endswith(".dockerfile") or lower.startswith("dockerfile.")
    ours = not NOT_OURS & {*folders} and not lower.endswith((".dockerignore", ".md", ".bak", ".orig"))
    return named and ours and len(path) <= 200 and _passes(RELATIVE_PATH, path)


def context_of(path: str) -> str:
    """The folder that is sent along: the Dockerfile's own; the whole repository for one in a folder such as `docker/`."""
    folder = PurePosixPath(path).parent
    return "." if folder.name in ("docker", "build", "deploy", "dockerfiles") else str(folder)


def name_of(path: str) -> str:
    """A name for the image: the Dockerfile's suffix, else its folder, else `web`."""
    file = PurePosixPath(path)
    lower = file.name.lower()
    suffix = lower.removeprefix("dockerfile").strip(".") if lower.startswith("dockerfile") else ""
    suffix = suffix or lower.removesuffix("dockerfile").strip(".")
    folder = "" if file.parent.name in ("docker", "build", "deploy", "dockerfiles") else file.parent.name
    own = _OWN.sub("-", (suffix or folder).lower()).strip("-")[:40].strip("-")
    return own if own and own[0].isalpha() and own != "new" else "web"


def _free(name: str, taken: set[str]) -> str:
    """The name, or the name with the first number that is free."""
    number = 2
    free = name
    while free in taken:
        free = f"{name[:36]}-{number}"
        number += 1
    return free


def _passes(validator: RegexValidator, text: str) -> bool:
    try:
        validator(text)
    except ValidationError:
        return False
    return True


def _plain(path: str) -> str:
    return path.removeprefix("./").strip("/")
