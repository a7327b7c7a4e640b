"""What probably mends a failure: by the evidence that was kept of it, the release that failed and the one before. Pure.

A fix is only named where the evidence says so; else there is none. No value of a setting is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from engine.health.containers import is_denied, is_missing
from engine.health.named_settings import missing_settings
from engine.manifests.settings import Settings, container_of, object_of, ports_of, settings_of
from engine.types import Json, ObjectRef

MOST = 3
LAST_LINES = 20  # of a log: what is above did not end the program
_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:\S+/)?(\S+)", re.I)
_HOLDER = re.compile(r"(secret|configmap) \"([^\"]+)\" not found", re.I)
_REFUSED = re.compile(r"(Readiness|Liveness|Startup) probe failed: .*?:(\d+).*connection refused", re.S)
_HOW = " Name it in the env of container {name} in the manifests; its value can be a variable or a secret key of the environment."
_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName")


@dataclass(frozen=True)
class Fix:
    """One proposal. `kind`: setting, key, holder, memory, image or port. `name`: of the setting, the key, or the missing Secret
    or ConfigMap; `holder`: the Secret or ConfigMap that lacks the key; `file`: the secrets file that would take the setting."""

    kind: str
    sentence: str
    name: str = ""
    holder: str = ""
    file: str = ""


def likely_fixes(
    evidence: Sequence[Json],
    stored: Sequence[Json],
    before: Sequence[Json],
    place: str,
    built: Collection[str] = (),
) -> list[Fix]:
    """At most MOST proposals, each once. `evidence`: of a deploy, as kept in its row; `stored`, `before`: the objects of its
    release and of the one that ran; `place`: name of the environment; `built`: references of the images that the project
    builds, as its manifests name them without a digest."""
    found: dict[tuple[str, str], Fix] = {}
    for item in evidence:
        if not item.get("container"):
            continue
        for fix in _of_container(item, stored, before, place, built):
            found.setdefault((fix.kind, fix.name), fix)
    return list(found.values())[:MOST]


def _of_container(
    item: Json, stored: Sequence[Json], before: Sequence[Json], place: str, built: Collection[str]
) -> Iterator[Fix]:
    name, reason = str(item["container"]), str(item.get("reason") or "")
    body = object_of(stored, ObjectRef.parse(str(item["ref"])))
    container = container_of(body, name)
    text = f"{item.get('message') or ''} {item.get('sentence') or ''}"
    if reason in _NO_IMAGE:
        yield from _of_image(name, container, reason, text, built)
    elif reason == "OOMKilled":
        yield _more_memory(name, container)
    elif key := _KEY.search(text):
        yield Fix(
            "key",
            f"Add the key {key[1]} to the {_kind(key[2])} {key[3]}.",
            key[1],
            f"{_kind(key[2])} {key[3]}",
        )
    elif holder := _HOLDER.search(text):
        kind = _kind(holder[1])
        yield Fix(
            "holder",
            f"Add the {kind} {holder[2]} to the manifests, or create it in the namespace.",
            holder[2],
            kind,
        )
    elif container:
        yield from _of_settings(item, name, container, stored, before, place)
        yield from _of_ports(item, name, container)


def _of_image(name: str, container: Json, reason: str, text: str, built: Collection[str]) -> Iterator[Fix]:
    """Nothing where the registry did not answer: then the image itself may be right."""
    image = str(container.get("image") or "its image")
    if reason == "InvalidImageName":
        sentence = f"{image} is no name of an image: correct it in the manifests."
    elif is_denied(text):
        sentence = (
            f"The registry denies {image}: look whether it exists, and whether the pull secret is valid."
        )
    elif not is_missing(text):
        return
    elif image.partition("@")[0] in built:
        sentence = f"{image} is not in the registry: build this revision, or deploy one that has been built."
    else:
        how = "correct its tag in the manifests, or push it"
        sentence = f"{image} is not in the registry, and this project does not build it: {how}."
    yield Fix("image", sentence, name)


def _kind(word: str) -> str:
    return "Secret" if word.lower() == "secret" else "ConfigMap"


def _more_memory(name: str, container: Json) -> Fix:
    limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    now = f" ({limit} now)" if limit else ""
    return Fix("memory", f"Raise the memory limit of container {name}{now}, or make it use less.", name)


def _of_settings(
    item: Json, name: str, container: Json, stored: Sequence[Json], before: Sequence[Json], place: str
) -> Iterator[Fix]:
    """Settings that the program says are missing, and nothing in the release sets."""
    lines = [str(line) for line in item.get("previous_logs") or item.get("logs") or []]
    now = settings_of(container, stored)
    earlier = container_of(object_of(before, ObjectRef.parse(str(item["ref"]))), name)
    for setting in missing_settings(lines[-LAST_LINES:]):
        if setting not in now.named:
            sentence = _of_setting(setting, name, now, earlier, before, place)
            how = "" if now.file else _HOW.format(name=name)
            yield Fix("setting", f"{sentence}{how}", setting, file=now.file or now.reads)


def _of_setting(
    setting: str, name: str, now: Settings, earlier: Json, before: Sequence[Json], place: str
) -> str:
    was = settings_of(earlier, before) if earlier else Settings()
    if setting in was.named:
        by = was.named[setting]
        # Not every reader may know the keys of Secrets.
        source = f" from {by}" if by.startswith("ConfigMap ") else ""
        return f"{setting} is read by {name} and set nowhere in {place} any more: the release before had it{source}."
    since = " since this revision" if earlier else ""
    nowhere = f"set nowhere in {place}"
    if now.unknown:
        nowhere = f"not set by the manifests ({', '.join(now.unknown[:3])} may set it, but is not among them)"
    return f"{setting} is read by {name}{since} and {nowhere}."


def _of_ports(item: Json, name: str, container: Json) -> Iterator[Fix]:
    """A probe that asks a port which the container does not declare."""
    declared = ports_of(container)
    texts = [
        event.get("text", "") if isinstance(event, dict) else str(event) for event in item.get("events") or []
    ]
    for found in filter(None, map(_REFUSED.search, texts)):
        port = int(found[2])
        if declared and port not in declared:
            known = ", ".join(map(str, declared))
            probe = f"The {found[1].lower()} probe of {name} asks port {port}"
            sentence = f"{probe}; the container declares {known}. Let both be the same."
            yield Fix("port", sentence, str(port))
