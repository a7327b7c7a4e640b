"""A field that the portal added by itself yields where another field manager has set it (`kubectl edit`).

The manifest does not ask for such a field, so that a person's value must not refuse the deploy. The object is applied
without the addition; conflicts about the manifest's own fields stay conflicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from engine.cluster.client import ApiError
from engine.cluster.ownership import FieldConflict, conflicts_of
from engine.manifests.settling import added_fields, without_added
from engine.types import Manifest

Result = TypeVar("Result")


def about_addition(manifest: Manifest, conflicts: Iterable[FieldConflict]) -> list[FieldConflict]:
    """Those of the conflicts that are about a field that the portal added, rather than one of the manifest."""
    added = {f"spec.{name}" for name in added_fields(manifest.body)}
    return [conflict for conflict in conflicts if conflict.field in added]


def yielding(manifest: Manifest, attempt: Callable[[Manifest], Result]) -> tuple[Result, str]:
    """The result of `attempt`, and a sentence where it had to be made without the portal's addition, else empty. Raises
    what `attempt` raises."""
    try:
        return attempt(manifest), ""
    except ApiError as error:
        conflicts = about_addition(manifest, conflicts_of(error.causes))
        if not conflicts:
            raise
    lean = replace(manifest, body=without_added(manifest.body))
    return attempt(lean), _words(manifest, conflicts)


def _words(manifest: Manifest, conflicts: Iterable[FieldConflict]) -> str:
    who = " and ".join(sorted({conflict.who for conflict in conflicts}))
    names = " and ".join(added_fields(manifest.body))
    return f"{names} stays as {who} set it: Slipway leaves out its own"
