"""What the server refuses in the spec of a pod or a template."""

from __future__ import annotations

from typing import Any

from engine.types import Json
from sandbox.kubernetes.names import LABEL, LABEL_WORDS, Causes
from sandbox.kubernetes.refusals import (
    duplicate,
    invalid_value,
    required,
    unsupported,
)

PORTS = "must be between 1 and 65535, inclusive"


def pod_spec(spec: Json, at: str) -> Causes:
    """The spec of a pod or a template."""
    if not spec.get("containers"):
        yield required(f"{at}.containers")
    if spec.get("restartPolicy", "Always") not in ("Always", "OnFailure", "Never"):
        choices = ["Always", "OnFailure", "Never"]
        yield unsupported(f"{at}.restartPolicy", spec["restartPolicy"], choices)
    volumes = [v.get("name") for v in spec.get("volumes") or []]
    for index, name in enumerate(volumes):
        if not name:
            yield required(f"{at}.volumes[{index}].name")
        elif name in volumes[:index]:
            yield duplicate(f"{at}.volumes[{index}].name", name)
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or []):
            yield from _container(container, f"{at}.{field}[{index}]", seen, volumes)


def _container(container: Json, at: str, seen: set[str], volumes: list[Any]) -> Causes:
    name = container.get("name") or ""
    if not name:
        yield required(f"{at}.name")
    elif not LABEL.fullmatch(name) or len(name) > 63:
        yield invalid_value(f"{at}.name", name, LABEL_WORDS)
    elif name in seen:
        yield duplicate(f"{at}.name", name)
    seen.add(name)
    image = container.get("image") or ""
    if not image:
        yield required(f"{at}.image")
    elif image != image.strip():
        yield invalid_value(f"{at}.image", image, "must not have leading or trailing whitespace")
    for index, port in enumerate(container.get("ports") or []):
        yield from _container_port(port.get("containerPort") or 0, f"{at}.ports[{index}].containerPort")
    for index, variable in enumerate(container.get("env") or []):
        yield from _variable(variable, f"{at}.env[{index}]")
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount.get("name") not in volumes:
            yield (
                f"{at}.volumeMounts[{index}].name",
                "FieldValueNotFound",
                f'Not found: "{mount.get("name", "")}"',
            )
        if not mount.get("mountPath"):
            yield required(f"{at}.volumeMounts[{index}].mountPath")


def _container_port(number: int, field: str) -> Causes:
    if number == 0:
        yield required(field)
    elif not 0 < number < 65536:
        yield invalid_value(field, number, PORTS)


def _variable(variable: Json, at: str) -> Causes:
    name = variable.get("name") or ""
    if not name:
        yield required(f"{at}.name")
    elif "=" in name or not name.isprintable():
        yield invalid_value(
            f"{at}.name",
            name,
            "a valid environment variable name must consist only of printable ASCII characters other than '='",
        )
    if variable.get("value") and variable.get("valueFrom"):
        yield invalid_value(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")
