"""The difference that applying an object makes, as people read it: YAML lines, without noise and without secret
values."""

from __future__ import annotations

from typing import Any

import yaml

from engine.cluster.linediff import Steps, line_diff
from engine.manifests.masking import Digest, mask
from engine.manifests.settling import added_fields
from engine.types import Json

MAX_LINES = 2000  # of one object's diff
MAX_PURE = 100_000  # characters of an object that is written a second time, more slowly, for its emoji
_NOISE = (
    "managedFields",
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "generation",
    "selfLink",
    "deletionTimestamp",
)
_NOISY_ANNOTATIONS = (
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
)


class _Pure(yaml.SafeDumper):
    """Multi-line strings as blocks; repeated parts written out instead of as `&id001`."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Fast(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """The same by libyaml, up to 60 times as fast. It writes a text with characters beyond U+FFFF on one line, escaped."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: Any, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not any(line.endswith((" ", "\t")) for line in text.split("\n")) else None
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)
    return node


_Pure.add_representer(str, _string)
_Fast.add_representer(str, _string)


def _dumped(body: Json) -> str:
    """The object as YAML; an object of ordinary size also with emoji as they are."""
    options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 1000}
    text: str = yaml.dump(body, Dumper=_Fast, **options)
    if "\\U" in text and len(text) < MAX_PURE:
        text = yaml.dump(body, Dumper=_Pure, **options)
    return text


def comparable(body: Json) -> Json:
    """The object without the server's own fields and without its status. Equal results mean: unchanged."""
    metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key not in _NOISE}
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        kept = {key: value for key, value in annotations.items() if key not in _NOISY_ANNOTATIONS}
        metadata.pop("annotations")
        if kept:
            metadata["annotations"] = kept
    shown = {key: value for key, value in body.items() if key not in ("metadata", "status")}
    return {
        "apiVersion": shown.pop("apiVersion", ""),
        "kind": shown.pop("kind", ""),
        "metadata": metadata,
        **shown,
    }


def to_yaml(body: Json, digest: Digest) -> list[str]:
    """The lines of an object that may be shown."""
    return _with_reasons(_dumped(comparable(mask(body, digest))).splitlines(), added_fields(body))


def _with_reasons(lines: list[str], added: dict[str, str]) -> list[str]:
    """Lines of fields of `spec` that were added at rendering say so."""
    for field, why in added.items():
        start = f"  {field}: "
        lines = [f"{line}  # {why}" if line.startswith(start) else line for line in lines]
    return lines


def diff_lines(
    before: Json | None, after: Json, *, digest: Digest, steps: Steps | None = None
) -> tuple[str, ...]:
    """A unified diff (three lines of context, no file header); empty when nothing that counts differs. `steps`: shared with
    other diffs of the same answer."""
    old = to_yaml(before, digest) if before else []
    new = to_yaml(_in_order_of(before, after) if before else after, digest)
    lines = line_diff(old, new, steps)
    if len(lines) > MAX_LINES:
        lines = [*lines[:MAX_LINES], f"… {len(lines) - MAX_LINES} more lines"]
    return tuple(lines)


def _in_order_of(like: Any, value: Any) -> Any:
    """The value with its keys in the order of another one: the server sorts the members of some objects
    differently."""
    if isinstance(like, dict) and isinstance(value, dict):
        keys = [key for key in like if key in value] + [key for key in value if key not in like]
        return {key: _in_order_of(like.get(key), value[key]) for key in keys}
    if isinstance(like, list) and isinstance(value, list):
        padded = [*like, *[None] * len(value)]
        return [_in_order_of(old, new) for old, new in zip(padded, value, strict=False)]
    return value
