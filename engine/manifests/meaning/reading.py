"""Reads what a change means (`words.py`) from an object before and after it, as a dry run tells them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from engine.manifests.images import parse_reference
from engine.manifests.meaning.groups import TEMPLATE, TEMPLATES, WORKLOADS, Group, group_of, is_mark
from engine.manifests.meaning.leaves import MISSING, Differences, Leaf, Path, differences
from engine.manifests.meaning.values import in_words, short_image
from engine.manifests.meaning.words import Change, Meaning, in_order
from engine.types import Json

LONGEST_NAME = 100


def meanings(before: Json | None, after: Json) -> tuple[Meaning, ...]:
    """What applying `after` over `before` (None for a new object) changes, the most important first. Both without the server's
    own fields. No value of a Secret is in it. Raises nothing."""
    if before is None:
        return in_order(list(_of_new(after)))
    found = differences(_readable(before), _readable(after))
    told = [*_of_groups(str(after.get("kind")), found), *_of_hosts(before, after), *_restarts(before, after)]
    marks = any(is_mark(leaf.path) for leaf in found.leaves)
    told = _without_all_containers(told, _container_names(after))
    if not told and found.leaves:
        told = [Meaning("marks")] if marks else [Meaning("same")]
    return in_order(told)


def _readable(body: Json) -> Json:
    """A Secret's keys stand for its values only as to whether they differ."""
    return {key: value for key, value in body.items() if key not in ("apiVersion", "status")}


def _of_new(after: Json) -> Iterator[Meaning]:
    if after.get("kind") == "Job":
        yield Meaning("runs")
    yield Meaning("new")
    images = dict.fromkeys(str(one.get("image", "")) for one in _containers(after))
    for image in images:
        if parse_reference(image).repository:
            yield Meaning("image", after=short_image(parse_reference(image)))


def _of_groups(kind: str, found: Differences) -> Iterator[Meaning]:
    groups: dict[Group, list[Leaf]] = {}
    for leaf in found.leaves:
        if not is_mark(leaf.path) and (group := group_of(kind, leaf.path, found)) is not None:
            groups.setdefault(group, []).append(leaf)
    for group, leaves in groups.items():
        made = _meaning(group, leaves, found)
        if made is not None:
            yield made


def _meaning(group: Group, leaves: Sequence[Leaf], found: Differences) -> Meaning | None:
    change = _change(group, leaves, found)
    made = Meaning(group.what, group.name[:LONGEST_NAME], change, containers=group.containers)
    if group.what == "container":
        return replace(made, change="added" if change == "added" else "removed")
    if group.what == "reads":
        return made if change == "changed" else None
    return made if len(leaves) != 1 else in_words(made, leaves[0], group.prefix)


def _change(group: Group, leaves: Sequence[Leaf], found: Differences) -> Change:
    if all(leaf.after is MISSING for leaf in leaves) and group.what != "field":
        return "removed"
    had = group.prefix in found.had or any(leaf.before is not MISSING for leaf in leaves)
    return "changed" if had else "added"


def _of_hosts(before: Json, after: Json) -> Iterator[Meaning]:
    if after.get("kind") != "Ingress":
        return
    old, new = _hosts(before), _hosts(after)
    for host in (*old, *new):
        if (host in old) != (host in new):
            yield Meaning("host", host[:LONGEST_NAME], "removed" if host in old else "added")
    both = old.keys() & new.keys()
    if _rules(before, both) != _rules(after, both):
        yield Meaning("field", "rules", "changed")


def _rules(body: Json, hosts: Collection[str]) -> list[Json]:
    """The rules of these hosts, and those without a host."""
    return [rule for rule in _all_rules(body) if not rule.get("host") or str(rule["host"]) in hosts]


def _all_rules(body: Json) -> list[Json]:
    rules = _part(body, ("spec",)).get("rules")
    return [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []


def _hosts(body: Json) -> dict[str, None]:
    return dict.fromkeys(str(rule["host"]) for rule in _all_rules(body) if rule.get("host"))


def _restarts(before: Json, after: Json) -> Iterator[Meaning]:
    """The pods that a change of the template replaces. None where nothing does by itself (paused, OnDelete)."""
    kind, spec = after.get("kind"), _part(after, ("spec",))
    if kind not in WORKLOADS or _part(before, TEMPLATE) == _part(after, TEMPLATE):
        return
    strategy = spec.get("updateStrategy")
    waits = isinstance(strategy, dict) and strategy.get("type") == "OnDelete"
    count = "" if kind == "DaemonSet" else str(spec.get("replicas", 1))
    if not waits and not spec.get("paused") and count != "0":
        yield Meaning("restarts", after=count if count.isdecimal() else "")


def _part(body: Json, path: Path) -> Json:
    for step in path:
        part = body.get(step)
        if not isinstance(part, dict):
            return {}
        body = part
    return body


def _containers(body: Json) -> list[Json]:
    pods = _part(body, (*TEMPLATES.get(str(body.get("kind")), ("", "")), "spec"))
    lists = [pods.get(field) for field in ("initContainers", "containers")]
    return [one for found in lists if isinstance(found, list) for one in found if isinstance(one, dict)]


def _container_names(body: Json) -> tuple[str, ...]:
    return tuple(str(one.get("name")) for one in _containers(body))


def _without_all_containers(told: Sequence[Meaning], names: Sequence[str]) -> list[Meaning]:
    """Equal changes of several containers as one; without names where it is of all of them."""
    every = set(names)
    by_change: dict[Meaning, list[str]] = {}
    for one in told:
        by_change.setdefault(replace(one, containers=()), []).extend(one.containers)
    return [
        replace(one, containers=() if every <= set(found) else tuple(found))
        for one, found in by_change.items()
    ]
