"""Defaults of the server that a change of the manifest makes obsolete.

A Deployment that names no strategy gets `rollingUpdate` with 25 %. No manager owns these fields, so server-side apply leaves them
where they are when the manifest says `type: Recreate`, and the server refuses the two together. `kubectl apply` removes them;
so does Slipway: it makes them its own, and its next apply, whose manifest does not have them, removes them.
"""

from __future__ import annotations

from engine.cluster.fieldsets import field_set, holds
from engine.cluster.ownership import all_fields
from engine.manifests.references import mapping_of
from engine.types import Json

# Of a kind: the field of `spec` that is chosen by its `type`, the type beside which the other field is forbidden, and that.
_CHOICES = {
    ("apps/v1", "Deployment"): ("strategy", "Recreate", "rollingUpdate"),
    ("apps/v1", "StatefulSet"): ("updateStrategy", "OnDelete", "rollingUpdate"),
}


def obsolete_fields(wanted: Json, live: Json) -> Json:
    """The set of live fields that the manifest's choice makes obsolete and that no manager owns."""
    choice = _CHOICES.get((wanted["apiVersion"], wanted["kind"]))
    if choice is None:
        return {}
    field, chosen, other = choice
    now = mapping_of(mapping_of(wanted.get("spec")).get(field))
    before = mapping_of(mapping_of(live.get("spec")).get(field))
    is_obsolete = now.get("type") == chosen and now.get(other) is None and before.get(other) is not None
    owned = all_fields(live["metadata"].get("managedFields") or [])
    if not is_obsolete or holds(owned, "spec", field, other):
        return {}
    return field_set("spec", field, other)
