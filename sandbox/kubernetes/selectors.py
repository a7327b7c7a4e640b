"""Label and field selectors: texts of a query to functions that tell whether an object is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
_MORE = {
    "Pod": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "Event": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "Secret": ("type",),
    "Namespace": ("status.phase",),
    "Node": ("spec.unschedulable",),
    "Job": ("status.successful",),
    "ReplicaSet": ("status.replicas",),
}


def label_test(text: str) -> LabelTest:
    """The test that a `labelSelector` describes. Raises Refused."""
    tests = [_requirement(part.strip()) for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(text: str) -> LabelTest:
    if match := _SET.fullmatch(text):
        key, values = match[1], {v.strip() for v in match[3].split(",")}
        if match[2] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.fullmatch(text):
        key, value = match[1], match[3]
        if match[2] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _KEY.fullmatch(text):
        key, wanted = match[2], not match[1]
        return lambda labels: (key in labels) is wanted
    raise bad_request(f"unable to parse requirement: found '{text}', expected: ',', ')' or identifier")


def selects(selector: Json | None, labels: Labels) -> bool:
    """Whether a LabelSelector object (of a Deployment, say) selects these labels. None selects nothing."""
    if selector is None:
        return False
    if any(labels.get(k) != v for k, v in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(e, labels) for e in selector.get("matchExpressions") or [])


def _expression(expression: Json, labels: Labels) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")


def selector_text(selector: Json) -> str:
    """A LabelSelector as the scale subresource writes it."""
    parts = [f"{k}={v}" for k, v in sorted((selector.get("matchLabels") or {}).items())]
    words = {"In": "{k} in ({v})", "NotIn": "{k} notin ({v})", "Exists": "{k}", "DoesNotExist": "!{k}"}
    for expression in selector.get("matchExpressions") or []:
        values = ",".join(expression.get("values") or [])
        parts.append(words[expression["operator"]].format(k=expression["key"], v=values))
    return ",".join(parts)


def field_test(text: str, kind: Kind) -> Test:
    """The test that a `fieldSelector` describes. Raises Refused for fields by which the kind cannot be selected."""
    tests: list[tuple[list[str], bool, str]] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"([^!=]+)(!=|==|=)(.*)", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        _check_field(match[1], kind)
        path = ["source", "component"] if match[1] == "source" else match[1].split(".")
        tests.append((path, match[2] == "!=", match[3]))
    return lambda body: all((_text_at(body, path) == value) is not negated for path, negated, value in tests)


def _check_field(name: str, kind: Kind) -> None:
    if name in _EVERY_KIND or name in _MORE.get(kind.kind, ()):
        return
    if kind.group == "":
        raise bad_request(f"field label not supported: {name}")
    raise bad_request(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _text_at(body: Any, path: list[str]) -> str:
    for step in path:
        body = body.get(step) if isinstance(body, dict) else None
    if isinstance(body, bool):
        return "true" if body else "false"
    return "" if body is None else str(body)
