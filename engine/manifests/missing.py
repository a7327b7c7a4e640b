"""Finds references to objects that do not exist and that no manifest brings, before the first write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from engine.manifests.makers import Target, keys_of, made_by_cluster, made_by_deploy
from engine.manifests.references import Reference, references_of
from engine.types import Manifest

Live = Callable[[str, str, str], set[str] | None]
_KINDS = {"Secret", "ConfigMap", "ServiceAccount", "PersistentVolumeClaim"}


def missing_references(manifests: Sequence[Manifest], live: Live) -> list[tuple[Reference, str]]:
    """The unsatisfied references, each with the reason as a sentence.

    Looks among the manifests first, then among the objects that controllers make (engine/manifests/makers.py), then
    asks `live(kind, namespace, name)`: the keys of the object on the cluster, or None when it is not there (asked
    once each). Optional references are not missing. Sentences leave out the names of Secrets' keys: not everybody may see them.
    """
    given, made = _given(manifests), made_by_deploy(manifests)
    asked: dict[Target, set[str] | None] = {}
    missing = []
    for reference in (r for manifest in manifests for r in references_of(manifest) if not r.optional):
        target = (reference.kind, reference.namespace, reference.name)
        if target in made:
            continue
        if target not in given and target not in asked:
            by_cluster = made_by_cluster(target)
            asked[target] = live(*target) if by_cluster is None else by_cluster
        reason = _reason(reference, given[target] if target in given else asked[target])
        if reason:
            missing.append((reference, reason))
    return missing


def awaited(manifests: Sequence[Manifest], *, all_of_them: bool) -> set[tuple[str, str]]:
    """Kind and name of the Secrets and ConfigMaps that pods of these objects read and that a controller makes; with
    `all_of_them` also those that no manifest brings, because a person said that a controller makes them."""
    given, made = _given(manifests), made_by_deploy(manifests)
    wanted = {(r.kind, r.namespace, r.name) for manifest in manifests for r in references_of(manifest)}
    return {
        (kind, name)
        for kind, namespace, name in wanted
        if (kind, namespace, name) in made or (all_of_them and (kind, namespace, name) not in given)
    }


def _reason(reference: Reference, keys: set[str] | None) -> str:
    by = f"{reference.by.kind} {reference.by.name}"
    what = f"{reference.kind} {reference.name}"
    if keys is None:
        return f"{by} needs {what}, which is neither in the config directory nor in namespace {reference.namespace}"
    if reference.key and reference.key not in keys:
        key = "a key" if reference.kind == "Secret" else f"the key {reference.key}"
        return f"{by} needs {key} of {what}, which has no such key"
    return ""


def _given(manifests: Iterable[Manifest]) -> dict[Target, set[str]]:
    return {
        (m.ref.kind, m.ref.namespace, m.ref.name): keys_of(m.body)
        for m in manifests
        if not m.ref.group and m.ref.kind in _KINDS
    }
