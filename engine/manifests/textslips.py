"""Values that must be text and are not: `true`, `8080`, `yes` without quotes. The most common slip of manifests.

The API server names them in words of its own, one kind of place at a time; here all of an object are found at once. Found
is only what no server accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.manifests.documents import group_of, type_name
from engine.manifests.references import CONTAINER_LISTS, mapping_of, mappings_of, pod_template_of
from engine.types import Json

Slip = tuple[str, str]  # path of the field, what is wrong with it


def text_slips(body: Json) -> Iterator[Slip]:
    """All such values of an object, without their values: path as `spec.template.spec.nodeSelector.ssd`, and a sentence."""
    if group_of(body["apiVersion"]) not in _GROUPS:
        return
    if body["kind"] == "ConfigMap":
        yield from _of_mapping(body.get("data"), "data", f"of ConfigMap {body['metadata']['name']}")
    selector = mapping_of(mapping_of(body.get("spec")).get("selector"))
    is_service = body["kind"] == "Service"
    yield from _of_mapping(selector if is_service else selector.get("matchLabels"), _SELECTORS[is_service])
    template = pod_template_of(body)
    if template is not None:
        yield from _of_template(template, _template_path(body))


_GROUPS = ("", "apps", "batch")  # other kinds may mean something else by fields of these names
_SELECTORS = {True: "spec.selector", False: "spec.selector.matchLabels"}


def _template_path(body: Json) -> str:
    """Where the pod template of an object stands: its path with a dot at the end; empty for a Pod."""
    spec = mapping_of(body.get("spec"))
    if body["kind"] == "Pod":
        return ""
    if "jobTemplate" in spec:
        return "spec.jobTemplate.spec.template."
    return "spec.template." if "template" in spec else "template."


def _of_template(template: Json, at: str) -> Iterator[Slip]:
    metadata, spec = mapping_of(template.get("metadata")), mapping_of(template.get("spec"))
    if at:  # a Pod's own labels are looked at with every object's
        for part in ("labels", "annotations"):
            yield from _of_mapping(metadata.get(part), f"{at}metadata.{part}", "of the pods")
    yield from _of_mapping(spec.get("nodeSelector"), f"{at}spec.nodeSelector")
    for name in CONTAINER_LISTS:
        for index, container in enumerate(mappings_of(spec.get(name))):
            yield from _of_container(container, f"{at}spec.{name}[{index}]")


def _of_container(container: Json, at: str) -> Iterator[Slip]:
    whose = f"of {container.get('name')}"
    for index, variable in enumerate(mappings_of(container.get("env"))):
        if _is_wrong(variable.get("value")):
            what = f"the value of {variable.get('name')} in env {whose}"
            yield f"{at}.env[{index}].value", _must_be_text(what, variable["value"])
    for part in ("command", "args"):
        entries = container.get(part)
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            if _is_wrong(entry):
                yield f"{at}.{part}[{index}]", _must_be_text(f"{part}[{index}] {whose}", entry)


def _of_mapping(values: Any, at: str, whose: str = "") -> Iterator[Slip]:
    for key, value in mapping_of(values).items():
        if _is_wrong(value):
            yield f"{at}[{key}]", _must_be_text(f"{at}.{key} {whose}".rstrip(), value)


def _is_wrong(value: Any) -> bool:
    return value is not None and not isinstance(value, str)


def _must_be_text(what: str, value: Any) -> str:
    return f"{what} must be text, found {type_name(value)}; write it in quotes, and use variables of type string there"
