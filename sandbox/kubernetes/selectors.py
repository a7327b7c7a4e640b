"""Label and field selectors: texts of a query to functions that tell whether an object is meant. Paths in objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from engine.types import Json
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.refusals import bad_request

Test = Callable[[Json], bool]
Labels = Mapping[str, str]
LabelTest = Callable[[Labels], bool]

_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(r"([^\s!=]+)\s*(!=|==|=)\s*([^\s!=]*)")
_KEY = re.compile(r"(!?)\s*([A-Za-z0-9][-A-Za-z0-9_./]*)")
_EVERY_KIND = ("metadata.name", "metadata.namespace")


# --- labels ----------------------------------------------------------------------------------------------------------


def label_test(text: str) -> LabelTest:
    """The test that a `labelSelector` describes. Raises Refused."""
    needs = [_need(part.strip()) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda labels: all(_meets(labels, *need) for need in needs)


def _need(text: str) -> tuple[str, str, Collection[str]]:
    """Key, operator and values, as a LabelSelector object has them."""
    if match := _SET.fullmatch(text):
        return match[1], "In" if match[2] == "in" else "NotIn", [v.strip() for v in match[3].split(",")]
    if match := _EQUAL.fullmatch(text):
        return match[1], "NotIn" if match[2] == "!=" else "In", [match[3]]
    if match := _KEY.fullmatch(text):
        return match[2], "DoesNotExist" if match[1] else "Exists", ()
    raise bad_request(f"unable to parse requirement: found '{text}', expected: ',', ')' or identifier")


def _meets(labels: Labels, key: str, operator: str, values: Collection[str]) -> bool:
    if operator in ("In", "NotIn"):
        return (labels.get(key) in values) is (operator == "In")
    return (key in labels) is (operator == "Exists")


def selects(selector: Json | None, labels: Labels) -> bool:
    """Whether a LabelSelector object (of a Deployment, say) selects these labels. None selects nothing."""
    if selector is None or any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    needs = selector.get("matchExpressions") or []
    return all(_meets(labels, n["key"], n["operator"], n.get("values") or ()) for n in needs)


def selector_text(selector: Json) -> str:
    """A LabelSelector as the scale subresource writes it."""
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "{k} in ({v})", "NotIn": "{k} notin ({v})", "Exists": "{k}", "DoesNotExist": "!{k}"}
    for need in selector.get("matchExpressions") or []:
        parts.append(words[need["operator"]].format(k=need["key"], v=",".join(need.get("values") or [])))
    return ",".join(parts)


# --- fields ----------------------------------------------------------------------------------------------------------


def field_test(text: str, kind: Kind) -> Test:
    """The test that a `fieldSelector` describes. Raises Refused for fields by which the kind cannot be selected."""
    tests: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^!=]+)(!=|==|=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if match[1] not in (*_EVERY_KIND, *kind.selectable):
            raise bad_request(f"field label not supported: {match[1]}")
        tests.append(("source.component" if match[1] == "source" else match[1], match[2] != "!=", match[3]))
    return lambda body: all((_text_at(body, path) == value) is wanted for path, wanted, value in tests)


def _text_at(body: Json, path: str) -> str:
    value = next(iter(find(body, path)), "")
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_at(body: Any, path: str) -> Any:
    """The value at a path of names such as `status.phase`; None when some part of it is missing."""
    for step in path.split("."):
        body = body.get(step) if isinstance(body, dict) else None
    return body


def find(body: Any, path: str) -> list[Any]:
    """The values at a simple JSON path, nulls left out: `.status.conditions[?(@.type=="Ready")].status`."""
    values = [body]
    for step in _steps(path):
        values = [found for value in values for found in _follow(value, step) if found is not None]
    return values


@cache
def _steps(path: str) -> list[str]:
    return re.findall(r"\[[^]]*]|[^.[]+", path)


def _follow(value: Any, step: str) -> list[Any]:
    inner = step.strip("[]'")
    if isinstance(value, dict):
        return [value.get(inner)]
    if not isinstance(value, list) or step[0] != "[":
        return []
    if inner.startswith("?"):
        name, _, wanted = inner.strip("?()").removeprefix("@.").partition("==")
        return [item for item in value if str(item.get(name.strip())) == wanted.strip().strip("\"'")]
    return value if inner == "*" else value[int(inner) :][:1]
