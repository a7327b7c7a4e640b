"""Takes over fields of an object, so that the next apply removes those that the manifest does not have: the fields of
`kubectl apply` and Helm on a first deploy, and defaults that a change makes obsolete. Also dry-runs the result.

Only `metadata.managedFields` is written, with the object's version as a condition: until our apply nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.cluster.client import ACCEPT_METADATA, APPLY, JSON_PATCH, Answer, ApiError, Client, Resource, find
from engine.cluster.fieldsets import difference, union, with_fields, without_fields
from engine.cluster.obsolete import obsolete_fields
from engine.cluster.ownership import (
    fields_of_others,
    own_fields,
    predecessors,
    taken_over,
    with_more_of_ours,
)
from engine.errors import SlipwayError
from engine.types import FIELD_MANAGER, Json, Manifest

APPLY_QUERY = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
DRY_RUN_QUERY = {**APPLY_QUERY, "dryRun": "All"}
_PREVIEW_TRIES = 4
_PREVIEW_NAME = 40  # characters of an object's name in the name that is free


def take_over(
    client: Client, path: str, manifest: Manifest, live: Json, *, tries: int, confirm: Callable[[], None]
) -> tuple[str, ...]:
    """Make the predecessors' fields ours, before the first apply. Returns their names, none if there is nothing to do.

    `live`: the object's metadata. `confirm`: raises when this work may no longer write; called before a repeat.
    Raises ApiError, and SlipwayError for an object that changes again and again.
    """
    for _ in range(tries):
        managed = live["metadata"].get("managedFields") or []
        names = predecessors(managed)
        if not names or _write(client, path, live, taken_over(managed, manifest.api_version)):
            return names
        live = client.request("GET", path, accept=ACCEPT_METADATA)
        confirm()
    raise keeps_changing(manifest)


def give_up_defaults(
    client: Client, path: str, manifest: Manifest, *, tries: int, confirm: Callable[[], None]
) -> bool:
    """Make the defaults ours that the manifest makes obsolete. Whether there were any; an object that is not there yet has
    none. Raises as `take_over` does."""
    for _ in range(tries):
        live = find(client, path)
        if live is None:
            return False
        confirm()
        fields = obsolete_fields(manifest.body, live)
        managed = live["metadata"].get("managedFields") or []
        if not fields:
            return False
        if _write(client, path, live, with_more_of_ours(managed, fields, manifest.api_version)):
            return True
    raise keeps_changing(manifest)


def needs_preview(manifest: Manifest, live: Json) -> bool:
    """Whether applying removes fields that a dry run of it cannot know of."""
    return bool(
        predecessors(live["metadata"].get("managedFields") or []) or obsolete_fields(manifest.body, live)
    )


def preview(client: Client, resource: Resource, manifest: Manifest, live: Json) -> Answer:
    """The server's answer to the object as it will be after the take-over and the apply. Raises ApiError.

    A dry run of the apply cannot include the take-over. So the result is built here: a dry run under an unused name tells
    which fields the manifest owns, and the result is sent as a dry run of an update.
    """
    fresh = as_new(client, resource, manifest)
    path = resource.path(manifest.ref.namespace, manifest.ref.name)
    for _ in range(_PREVIEW_TRIES):
        try:
            return client.send("PUT", path, query=DRY_RUN_QUERY, body=_result(manifest, live, fresh))
        except ApiError as error:
            if error.status != 409:
                raise
        live = client.request("GET", path)  # its controller wrote the status meanwhile
    raise keeps_changing(manifest)


def _result(manifest: Manifest, live: Json, fresh: Json) -> Json:
    """The live object without the fields that go, with the fields that the manifest owns."""
    ours = own_fields(fresh["metadata"].get("managedFields") or [])
    managed = live["metadata"].get("managedFields") or []
    if predecessors(managed):
        managed = taken_over(managed, manifest.api_version)
    dropped = difference(own_fields(managed), union(fields_of_others(managed), ours))
    body = without_fields(live, obsolete_fields(manifest.body, live), {})
    body = with_fields(without_fields(body, dropped, fresh), ours, fresh)
    body["metadata"].pop("managedFields", None)
    return body


def as_new(client: Client, resource: Resource, manifest: Manifest) -> Json:
    """The manifest as the server would complete it if the object were new: asked for under a name that is free. Raises
    ApiError."""
    name = f"{manifest.ref.name[:_PREVIEW_NAME]}-slipway-preview"
    body = {**manifest.body, "metadata": {**manifest.body["metadata"], "name": name}}
    fresh = replace(manifest, body=body)
    path = resource.path(manifest.ref.namespace, name)
    return client.send("PATCH", path, query=DRY_RUN_QUERY, body=fresh.body, content_type=APPLY).body


def _write(client: Client, path: str, live: Json, managed: list[Json]) -> bool:
    """Replace `managedFields`; False when the object changed meanwhile. Raises ApiError."""
    version = live["metadata"]["resourceVersion"]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": managed},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    query = {"fieldManager": FIELD_MANAGER}
    try:
        client.request(
            "PATCH", path, query=query, body=patch, content_type=JSON_PATCH, accept=ACCEPT_METADATA
        )
    except ApiError as error:
        if error.status != 409:
            raise
        return False
    return True


def keeps_changing(manifest: Manifest) -> SlipwayError:
    """The error for an object that does not hold still."""
    return SlipwayError(
        f"{manifest.ref.kind} {manifest.ref.name} is changed by another program again and again.",
        hint="Stop what changes it and deploy again.",
    )
