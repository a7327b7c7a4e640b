"""What a container gets by its environment, by the objects of one release. Pure; names only, no value is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.manifests.references import (
    containers_of,
    list_of,
    mapping_of,
    mappings_of,
    pod_template_of,
    text_of,
)
from engine.types import Json, ObjectRef


@dataclass(frozen=True)
class Settings:
    """`named`: where each name comes from ("ConfigMap settings"; empty: the manifest itself). `unknown`: Secrets and ConfigMaps
    that are read whole and are not of the release, so that they may set anything. `file`: path of the secrets file of a
    Secret that is read whole; a new key of it becomes a setting. `reads`: that of a Secret of which single keys are read."""

    named: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    file: str = ""
    reads: str = ""


def container_of(body: Json, name: str) -> Json:
    """The container of a workload by its name; empty where it has none."""
    template = pod_template_of(body)
    found = containers_of(template) if template is not None else iter(())
    return next((one for one in found if one.get("name") == name), {})


def object_of(stored: Sequence[Json], ref: ObjectRef) -> Json:
    """The body of an object of a stored release (engine/manifests/stored.py), or an empty dict. A Job with a phase may have the
    deploy's number behind its name."""
    for entry in stored:
        body = mapping_of(entry.get("object"))
        name = text_of(mapping_of(body.get("metadata")).get("name"))
        is_numbered = ref.kind == "Job" and ref.name.rpartition("-")[0] == name and ref.name[-1].isdigit()
        if body.get("kind") == ref.kind and (name == ref.name or is_numbered):
            return body
    return {}


def settings_of(container: Json, stored: Sequence[Json]) -> Settings:
    """What the container's environment sets. `stored`: the objects of its release."""
    keys, files = _keys_of(stored)
    named: dict[str, str] = {}
    unknown, file = [], ""
    for entry in mappings_of(container.get("envFrom")):
        for kind, selector in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
            name = text_of(mapping_of(entry.get(selector)).get("name"))
            prefix = text_of(entry.get("prefix"))
            if not name:
                continue
            if (kind, name) not in keys:
                unknown.append(f"{kind} {name}")
            file = file or files.get((kind, name), "")
            named |= {f"{prefix}{key}": f"{kind} {name}" for key in keys.get((kind, name), ())}
    own = {text_of(one.get("name")): _source(one) for one in mappings_of(container.get("env"))}
    sources = (files.get(("Secret", source.removeprefix("Secret ")), "") for source in own.values())
    return Settings({**named, **own}, tuple(unknown), file, reads=next(filter(None, sources), ""))


def _source(variable: Json) -> str:
    source = mapping_of(variable.get("valueFrom"))
    for kind, selector in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
        if name := text_of(mapping_of(source.get(selector)).get("name")):
            return f"{kind} {name}"
    return ""


def _keys_of(stored: Sequence[Json]) -> tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str], str]]:
    """The keys of each ConfigMap and Secret of the release, and the secrets file of each Secret that has one."""
    keys: dict[tuple[str, str], list[str]] = {}
    files: dict[tuple[str, str], str] = {}
    for entry in stored:
        if secret := mapping_of(entry.get("secret")):
            name = ObjectRef.parse(text_of(secret.get("ref"))).name
            keys["Secret", name] = list(mapping_of(secret.get("keys")))
            files["Secret", name] = text_of(mapping_of(entry.get("from")).get("file"))
        body = mapping_of(entry.get("object"))
        if body.get("kind") == "ConfigMap":
            name = text_of(mapping_of(body.get("metadata")).get("name"))
            keys["ConfigMap", name] = list(mapping_of(body.get("data")))
    return keys, files


def ports_of(container: Json) -> list[int]:
    """The ports that a container declares."""
    ports = (one.get("containerPort") for one in mappings_of(list_of(container.get("ports"))))
    return [port for port in ports if isinstance(port, int)]
