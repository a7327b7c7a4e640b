"""The objects of an environment as somebody without the portal would have applied them: filled in by hand.

One sample environment begins that way, so that its first deploy shows how the portal takes over.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from engine.types import Json
from sandbox.samples.model import Environment, SampleProject

_VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")


def objects_by_hand(
    sample: SampleProject,
    environment: Environment,
    *,
    repositories: Path,
    commit: str,
    registry_host: str,
    secrets: dict[str, str],
) -> list[Json]:
    """Every object of the environment's config directory at `commit`, complete, Secrets first.

    `secrets`: the populated text of each secrets file by its path. Images get the commit's short tag.
    """
    place = repositories / sample.repository
    values = {
        "ENVIRONMENT": environment.slug,
        "PROJECT": sample.slug,
        "NAMESPACE": environment.namespace,
        "REVISION": commit,
        "REVISION_SHORT": commit[:7],
        "IMAGE_TAG": commit[:7],
        **{_image_variable(i.name): f"{registry_host}/{i.repository}:{commit[:7]}" for i in sample.images},
        **{variable.name: variable.value for variable in environment.variables},
    }
    numbers = {variable.name for variable in environment.variables if variable.type == "number"}
    repos = {f"{registry_host}/{image.repository}" for image in sample.images}
    objects = []
    for path in _git(
        place, "ls-tree", "--name-only", commit, f"{environment.config_directory}/"
    ).splitlines():
        text = secrets.get(path) or _git(place, "show", f"{commit}:{path}")
        for body in yaml.safe_load_all(text):
            filled = body if path in secrets else _fill(body, values, numbers)
            objects.append(_placed(_tagged(filled, repos, commit[:7]), environment.namespace))
    return sorted(objects, key=lambda body: body["kind"] != "Secret")


def _git(place: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=place, check=True, capture_output=True, text=True).stdout


def _image_variable(name: str) -> str:
    return "IMAGE_" + name.upper().replace("-", "_")


def _fill(node: Any, values: dict[str, str], numbers: set[str]) -> Any:
    """Variables filled into string scalars; a scalar that is wholly a number variable becomes that number."""
    if isinstance(node, dict):
        return {key: _fill(value, values, numbers) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(value, values, numbers) for value in node]
    if not isinstance(node, str):
        return node
    whole = _VARIABLE.fullmatch(node)
    if whole and whole[1] in numbers:
        return int(values[whole[1]])
    return _VARIABLE.sub(lambda match: values[match[1]], node).replace("$${", "${")


def _tagged(body: Json, repositories: set[str], tag: str) -> Json:
    """The project's own images with the release's tag."""
    for container in _containers(body):
        repository = container["image"].rpartition(":")[0]
        if repository in repositories:
            container["image"] = f"{repository}:{tag}"
    return body


def _containers(body: Json) -> Iterator[Json]:
    yield from body.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])


def _placed(body: Json, namespace: str) -> Json:
    return {**body, "metadata": {**body["metadata"], "namespace": namespace}}
