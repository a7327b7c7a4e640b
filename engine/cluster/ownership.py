"""The owners of an object's fields (`metadata.managedFields`): which owners a first deploy takes over, and which fields that
removes.

Kubernetes keeps, for every writer of an object, the set of fields it wrote. Server-side apply refuses to change
another writer's field (a conflict) and removes the fields that our previous manifest had and the new one has
not. Objects that `kubectl apply` or Helm made before belong to those; on the first deploy their sets become
ours (as client-go's `csaupgrade` does), so that what is later dropped from the manifest really goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.cluster.client import ApiError, Cause
from engine.cluster.fieldsets import difference, union
from engine.types import FIELD_MANAGER, Json

# Manager and operation of the tools whose objects a first deploy takes over. `before-first-apply` stands for
# all writers from before Kubernetes kept account.
PREDECESSORS = frozenset(
    {
        ("kubectl-client-side-apply", "Update"),
        ("kubectl-create", "Update"),
        ("kubectl-last-applied", "Apply"),
        ("kubectl", "Apply"),
        ("helm", "Update"),
        ("helm", "Apply"),
        ("before-first-apply", "Update"),
    }
)
# Keeps a number of replicas for an autoscaler until it writes the number itself (engine/cluster/autoscaling.py).
HANDOVER_MANAGER = f"{FIELD_MANAGER}-handover"
FENCE_MANAGER = f"{FIELD_MANAGER}-fence"  # marks objects (engine/cluster/marking.py)
_PEOPLE = re.compile(r"kubectl|helm|Mozilla|k9s|Lens|Headlamp|dashboard", re.IGNORECASE)
_CAUSE = re.compile(
    r'conflict with "(?P<manager>[^"]*)"(?: with subresource "(?P<subresource>[^"]*)")?(?P<using> using)?'
)


@dataclass(frozen=True)
class FieldConflict:
    """A field of the manifest that another manager has set to another value."""

    field: str  # spec.replicas
    manager: str
    operation: str  # Update or Apply
    subresource: str

    @property
    def by_predecessor(self) -> bool:
        """Whether a first deploy may take the field over."""
        return not self.subresource and (self.manager, self.operation) in PREDECESSORS

    @property
    def by_person(self) -> bool:
        """Whether a person or a script of theirs set it, rather than a controller."""
        return bool(_PEOPLE.search(self.manager))

    @property
    def by_handover(self) -> bool:
        """Whether it is ours, kept for an autoscaler that never wrote it."""
        return (self.manager, self.operation) == (HANDOVER_MANAGER, "Apply")

    @property
    def by_autoscaler(self) -> bool:
        """Whether it came through the scale subresource, as an autoscaler's changes do (and those of `kubectl
        scale`)."""
        return self.subresource == "scale"

    def __str__(self) -> str:
        return f"{self.field} (set by {self.who})"

    @property
    def who(self) -> str:
        """The manager in words."""
        if self.subresource == "scale":
            return "kubectl scale" if self.by_person else "an autoscaler"
        names = {"kubectl-client-side-apply": "kubectl apply"}
        return names.get(self.manager, self.manager.replace("kubectl-", "kubectl "))


def conflicts_of(causes: Iterable[Cause]) -> tuple[FieldConflict, ...]:
    """The field conflicts among the causes of a refusal."""
    found = []
    for cause in causes:
        match = _CAUSE.match(cause.message)
        if cause.reason == "FieldManagerConflict" and match:
            operation = "Update" if match["using"] else "Apply"
            field = cause.field.lstrip(".")
            found.append(FieldConflict(field, match["manager"], operation, match["subresource"] or ""))
    return tuple(found)


def has_changed(error: ApiError) -> bool:
    """Whether a write was refused because the object is no longer as it was planned on."""
    return error.status == 409 and error.reason == "Conflict" and not conflicts_of(error.causes)


def is_ours_already(managed: Sequence[Json]) -> bool:
    """Whether we have applied the object before."""
    return any(_key(entry) == (FIELD_MANAGER, "Apply") for entry in managed)


def predecessors(managed: Sequence[Json]) -> tuple[str, ...]:
    """The managers whose fields the next apply takes over: those of PREDECESSORS, as long as the object is not
    ours already."""
    if is_ours_already(managed):
        return ()
    return tuple(sorted({entry["manager"] for entry in managed if _is_predecessor(entry)}))


def only_we_own(managed: Sequence[Json], fields: Json) -> bool:
    """Whether the fields are owned by us, or by predecessors whose fields become ours, and by no other manager."""
    ours: Json = {}
    others: Json = {}
    for entry in managed:
        owned = entry.get("fieldsV1") or {}
        if _key(entry) == (FIELD_MANAGER, "Apply") or _is_predecessor(entry):
            ours = union(ours, owned)
        else:
            others = union(others, owned)
    return not difference(fields, ours) and difference(fields, others) == fields


def taken_over(managed: Sequence[Json], api_version: str) -> list[Json]:
    """`managedFields` with the predecessors' sets as one set of ours. Sets written in another API version are
    dropped: their paths may mean something else."""
    taken = [entry for entry in managed if _is_predecessor(entry)]
    kept = [entry for entry in managed if not _is_predecessor(entry)]
    fields: Json = {}
    for entry in taken:
        if entry.get("apiVersion") == api_version:
            fields = union(fields, entry.get("fieldsV1") or {})
    if not fields:
        return kept
    ours = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": api_version,
        "time": max(str(entry.get("time") or "") for entry in taken) or None,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    return [*kept, ours]


def with_more_of_ours(managed: Sequence[Json], fields: Json, api_version: str) -> list[Json]:
    """`managedFields` with these fields among ours, which the next apply then removes, unless the manifest has them."""
    ours = next((entry for entry in managed if _key(entry) == (FIELD_MANAGER, "Apply")), None)
    if ours is None:
        mine = {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": api_version}
        return [*managed, {**mine, "fieldsType": "FieldsV1", "fieldsV1": fields}]
    more = {**ours, "fieldsV1": union(ours.get("fieldsV1") or {}, fields)}
    return [more if entry is ours else entry for entry in managed]


def own_fields(managed: Sequence[Json]) -> Json:
    """The fields that our last apply had."""
    return next(
        (entry.get("fieldsV1") or {} for entry in managed if _key(entry) == (FIELD_MANAGER, "Apply")), {}
    )


def all_fields(managed: Sequence[Json]) -> Json:
    """The fields that any manager owns."""
    found: Json = {}
    for entry in managed:
        found = union(found, entry.get("fieldsV1") or {})
    return found


def fields_of_others(managed: Sequence[Json]) -> Json:
    """The fields that others own, whether we own them too or not."""
    return all_fields([entry for entry in managed if _key(entry) != (FIELD_MANAGER, "Apply")])


def dropped_fields(managed: Sequence[Json]) -> Json:
    """The fields that only predecessors own, by the `managedFields` of a dry run's result: a take-over lets
    them go."""
    theirs: Json = {}
    others: Json = {}
    for entry in managed:
        fields = entry.get("fieldsV1") or {}
        if _is_predecessor(entry):
            theirs = union(theirs, fields)
        else:
            others = union(others, fields)
    return difference(theirs, others)


def _key(entry: Json) -> tuple[str, str]:
    return (
        (entry.get("manager", ""), entry.get("operation", "")) if not entry.get("subresource") else ("", "")
    )


def _is_predecessor(entry: Json) -> bool:
    return _key(entry) in PREDECESSORS
