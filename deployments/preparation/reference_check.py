"""Checks that every Secret, ConfigMap, claim, account and key that a workload needs exists, or that a controller makes it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from core.findings import FAILED, Finding
from engine.cluster.client import Client, find
from engine.cluster.resources import built_in
from engine.errors import Cause
from engine.manifests.makers import custom_objects, keys_of
from engine.manifests.missing import missing_references
from engine.manifests.references import Reference
from engine.types import Manifest


def live_keys(client: Client) -> Callable[[str, str, str], set[str] | None]:
    """A function (kind, namespace, name) → keys of the Secret or ConfigMap on the cluster, None when it does not exist; for
    references to objects that are not part of the deploy. It raises ApiError."""

    def keys(kind: str, namespace: str, name: str) -> set[str] | None:
        body = find(client, built_in(kind).path(namespace, name))
        return None if body is None else keys_of(body)

    return keys


def check_references(
    client: Client, manifests: Sequence[Manifest], *, kept: Container[tuple[str, str]] = (),
    pulls: tuple[str, str] = ("", ""),
) -> list[Finding]:  # fmt: skip
    """Errors for each Secret, ConfigMap or key that a workload needs and that neither the deploy nor the cluster has. An
    operator that Slipway does not know may make a missing object: a person can override the error. `kept`: namespace and name
    of Secrets that the portal itself makes before they are needed; `pulls`: of the environment's pull secret. Raises ApiError."""
    found: dict[tuple[str, str], Finding] = {}
    for reference, reason in missing_references(manifests, live_keys(client)):
        if reference.kind == "Secret" and (reference.namespace, reference.name) in kept:
            continue
        subject = str(reference.by)
        is_pull_secret = reference.kind == "Secret" and (reference.namespace, reference.name) == pulls
        hint = (
            _PULL_HINT
            if is_pull_secret
            else _reference_hint(reference, custom_objects(manifests, reference.namespace))
        )
        cause = _cause(reference, is_pull_secret)
        new = Finding(FAILED, f"{reason}.", hint, can_override=True, subject=subject, cause=cause)
        known = found.get((subject, reason)) or new
        key = (f"{reference.name}/{reference.key}",) if reference.kind == "Secret" and reference.key else ()
        found[subject, reason] = replace(known, keys=(*known.keys, *key))
    return list(found.values())


def joined(found: Sequence[Finding], of_files: Sequence[Finding]) -> list[Finding]:
    """The findings of references, where those keys that a secrets file lacks have the cause of its finding (`of_files`): then
    pages tell a key once, with the file and the workload. No override makes up for such a key."""
    lacking = {
        key: one.cause
        for one in of_files
        if one.cause and one.cause.code == "secret-keys"
        for key in one.keys
    }
    return [part for one in found for part in _by_file(one, lacking)]


def _by_file(finding: Finding, lacking: Mapping[str, Cause]) -> Iterator[Finding]:
    """The finding in parts: one for each secrets file that lacks keys of it, and one for the other keys."""
    parts: dict[Cause | None, list[str]] = {}
    for key in finding.keys:
        parts.setdefault(lacking.get(key), []).append(key)
    for cause, keys in (parts or {None: []}).items():
        if cause is None:
            yield replace(finding, keys=tuple(keys))
        else:
            yield replace(finding, keys=tuple(keys), cause=cause, can_override=False)


_PULL_HINT = "Let the portal keep this pull secret, or create it in the namespace yourself."


def _cause(reference: Reference, is_pull_secret: bool) -> Cause:
    if is_pull_secret:
        return Cause("pull-secret", reference.name, reference.namespace)
    key = "key" if reference.key else "object"
    return Cause(f"missing-{key}", f"{reference.kind} {reference.name}", reference.namespace)


def _reference_hint(reference: Reference, makers: Sequence[str]) -> str:
    key = "the key" if reference.kind == "Secret" else f"the key {reference.key}"
    what = key if reference.key else f"the {reference.kind} {reference.name}"
    add = f"Add {what} to the manifests or to the secrets file, or mark the reference as optional."
    if not makers:
        return f"{add} If something on the cluster makes it, override this for the deploy."
    return f"{add} If {' or '.join(makers[:_MOST_MAKERS])} makes it, override this for the deploy."


_MOST_MAKERS = 3  # custom objects that are named
