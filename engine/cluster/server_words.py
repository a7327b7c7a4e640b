"""Translates refusals of API servers into sentences that people understand.

The table has one row for each kind of refusal whose own words are unclear. A row matches single lines of the server's
text, so that all slips of an object are told at once. No row repeats a value: it may be secret. The tests compare the
rows with answers of real API servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PREFIX = re.compile(r"^failed to create typed (?:patch|live) object \([^)]*\): (?:errors:)?\s*")
_RULE = re.compile(r"^\{(.*)\}$")
_PART = re.compile(r"(\w+):\[([^\]]*)\]")
_ESCALATION = "attempting to grant RBAC permissions not currently held"


@dataclass(frozen=True)
class Told:
    """One mistake in a manifest, in plain words. `field`: the path of the field at fault, for its line in the file."""

    sentence: str
    hint: str
    field: str = ""


@dataclass(frozen=True)
class Row:
    """`says`: the server's words, as a pattern of a line with groups; `sentence`, `hint` and `field` name the groups."""

    says: str
    sentence: str
    hint: str
    field: str = "{path}"


_PATH = r"\.?(?P<path>[\w.].*?)"
ROWS = (
    Row(
        rf"{_PATH}: duplicate entries for key \[(?P<key>.+)\]",
        "{path} has more than one entry with {key}",
        "Keep one of these entries.",
        "{path}[{key}]",
    ),
    Row(rf"{_PATH}: expected string, got .*", "{path} must be text", "Write the value in quotes."),
    Row(rf"{_PATH}: expected map, got .*", "{path} must be a mapping", "Check the indentation below it."),
    Row(
        rf"{_PATH}: expected list, got .*", "{path} must be a list", "Begin each of its entries with a dash."
    ),
    Row(
        rf"{_PATH}: expected numeric .*, got .*",
        "{path} must be a number",
        "Write a number, without quotes.",
    ),
    Row(
        rf"{_PATH}: expected boolean, got .*",
        "{path} must be true or false",
        "Write true or false, without quotes.",
    ),
    Row(
        rf"{_PATH}: (?:Invalid value: .*: )?failed to allocate IP \S+: (?!provided IP is already).*",
        "{path} names an address that this cluster does not have",
        "Remove spec.clusterIP and spec.clusterIPs: the cluster chooses the address. Only None belongs in a manifest.",
    ),
    Row(
        rf"{_PATH}: (?:Invalid value: .*: )?failed to allocate IP \S+: provided IP is already allocated",
        "{path} is taken: another Service of the cluster has this address",
        "Remove spec.clusterIP and spec.clusterIPs: the cluster chooses the address. Only None belongs in a manifest.",
    ),
    Row(
        r"failed to allocate requested HealthCheck NodePort \d+: provided port is not in the valid range\. "
        r"The range of valid ports is (?P<range>[\d-]+)",
        "spec.healthCheckNodePort is outside of the cluster's ports for nodes, {range}",
        "Remove the field, so that the cluster chooses a port, or write one of that range.",
        "spec.healthCheckNodePort",
    ),
    Row(
        rf"{_PATH}: (?:Invalid value: .*: )?provided port is already allocated",
        "{path} is taken: another Service of the cluster has this port",
        "Remove the field, so that the cluster chooses a port, or write another one.",
    ),
    Row(
        rf"{_PATH}: (?:Invalid value: .*: )?provided port is not in the valid range\. "
        r"The range of valid ports is (?P<range>[\d-]+)",
        "{path} is outside of the cluster's ports for nodes, {range}",
        "Remove the field, so that the cluster chooses a port, or write one of that range.",
    ),
)
_ROWS = tuple((re.compile(row.says), row) for row in ROWS)


def told(words: str) -> tuple[Told, ...]:
    """The slips that a server's text names, in our words, each once; empty when no row knows the text."""
    lines = [line.strip() for line in _PREFIX.sub("", words).splitlines()]
    found = (said for line in lines if (said := _told(line)))
    return tuple(dict.fromkeys(found))


def _told(line: str) -> Told | None:
    for pattern, row in _ROWS:
        if match := pattern.fullmatch(line):
            groups = match.groupdict()
            return Told(row.sentence.format(**groups), row.hint, row.field.format(**groups))
    return None


def missing_rights(words: str) -> tuple[str, ...]:
    """The rights that an account would have to have itself to grant them (RBAC escalation), all of them; else empty.

    Each as `get, list of things in metrics.example.org`.
    """
    _, found, rules = words.partition(_ESCALATION)
    return tuple(dict.fromkeys(_rights(rules))) if found else ()


def _rights(rules: str) -> Iterator[str]:
    for line in rules.splitlines():
        if match := _RULE.match(line.strip()):
            yield _right({name: _quoted(values) for name, values in _PART.findall(match[1])})


def _right(rule: dict[str, list[str]]) -> str:
    """One rule in words. `*` stands for all."""
    verbs = _listed(rule.get("Verbs", []), "every verb")
    if urls := rule.get("NonResourceURLs"):
        return f"{verbs} on the addresses {', '.join(urls)}"
    names = f" named {', '.join(rule['ResourceNames'])}" if rule.get("ResourceNames") else ""
    groups = rule.get("APIGroups", [])
    where = (
        "" if groups == [""] else f" in {_listed([g or 'the core API' for g in groups], 'every API group')}"
    )
    return f"{verbs} of {_listed(rule.get('Resources', []), 'every resource')}{names}{where}"


def _listed(values: list[str], everything: str) -> str:
    return everything if "*" in values else ", ".join(values)


def _quoted(values: str) -> list[str]:
    return re.findall(r'"([^"]*)"', values)
