"""Faults of AWS, registries and clusters, as a sentence and a hint. None of them quotes a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.errors import ExternalError
from engine.cluster.client import ApiError
from engine.cluster.refusals import explain, is_no_answer, missing_namespace
from engine.errors import SlipwayError
from engine.types import Manifest, ObjectRef, Source

_RIGHT = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<kind>[\w./-]+)" in API group "[^"]*"(?: in the namespace "(?P<ns>[^"]+)")?'
)
GONE, TERMINATING, CHANGED, SILENT, FIXED, REFUSED = (
    "gone", "terminating", "changed", "silent", "fixed", "refused",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Why something was not done. `kind`: gone (no namespace), terminating, changed (another writer was faster), silent (no
    answer), fixed (the Secret cannot be changed in place), refused, or empty for what is not the cluster's fault."""

    sentence: str
    hint: str = ""
    kind: str = ""


def of_outside(error: SlipwayError) -> Fault:
    """The fault of AWS or a registry."""
    return Fault(error.message, error.hint, SILENT if _is_silent(error) else REFUSED)


def _is_silent(error: SlipwayError) -> bool:
    return isinstance(error, ExternalError) and not error.permanent


def of_cluster(error: ApiError, namespace: str, name: str) -> Fault:
    """Why the cluster did not let a Secret be read or written."""
    if is_no_answer(error):
        return Fault(error.message, error.hint, SILENT)
    if missing_namespace(error):
        return Fault(
            f"The namespace {namespace} does not exist.", "It gets its Secret when it appears.", GONE
        )
    if "being terminated" in error.words:
        return Fault(
            f"The namespace {namespace} is being deleted.", "Nothing is written there any more.", TERMINATING
        )
    if error.status == 409:
        return Fault("Another writer changed the Secret at the same moment.", "It is tried again.", CHANGED)
    if any("immutable" in cause.message for cause in error.causes) or "is immutable" in error.words:
        return Fault(
            f"The Secret {name} cannot be changed: it is immutable, or has another type.",
            "Let an admin take it over on its page: it is then deleted and created anew.",
            FIXED,
        )
    if missing := _RIGHT.search(error.words):
        return _missing_right(missing, name)
    told = explain(error, _manifest(namespace, name))
    return Fault(told.sentence, told.hint, REFUSED)


def _missing_right(found: re.Match[str], name: str) -> Fault:
    where = f"in the namespace {found['ns']}" if found["ns"] else "in all namespaces"
    rule = f'apiGroups: [""], resources: ["{found["kind"]}"], verbs: ["{found["verb"]}"]'
    return Fault(
        f"The cluster's account may not {found['verb']} {found['kind']} {where} ({name}).",
        f"Add this rule to a Role or ClusterRole of the kubeconfig's account: {rule}.",
        REFUSED,
    )


def _manifest(namespace: str, name: str) -> Manifest:
    ref = ObjectRef("Secret", "", namespace, name)
    return Manifest(ref, "v1", {}, Source("pull credential", 1))
