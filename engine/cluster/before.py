"""The objects of a deploy as they are before its first write: their metadata, by kind and namespace."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cluster.client import ACCEPT_METADATA_LIST, ApiError, Client, list_all
from engine.cluster.parallel import Outcomes, Talk
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.types import Json, Manifest, ObjectRef, Observer


def read_before(
    client: Client, kinds: ClusterKinds, manifests: Sequence[Manifest], observer: Observer | None
) -> dict[ObjectRef, Json] | None:
    """The metadata of all existing objects of the manifests' kinds, one list per kind and namespace; None when the
    account may not list. Kinds that the cluster does not know yet have no objects."""
    places = {}
    for manifest in manifests:
        resource = kinds.resource_of(manifest)
        places[resource.path(manifest.ref.namespace)] = manifest.ref

    def read(path: str, talk: Talk) -> list[Json]:
        try:
            return list_all(client, path, accept=ACCEPT_METADATA_LIST)[0]
        except ApiError as error:
            if error.status == 404:
                return []
            raise

    found: dict[ObjectRef, Json] = {}
    for path, items in Outcomes(tuple(places), read, observer):
        if isinstance(items, ApiError) and items.status == 403:
            return None
        if isinstance(items, SlipwayError):
            raise items
        for item in items:
            found[_ref(places[path], item)] = item
    return found


def _ref(like: ObjectRef, item: Json) -> ObjectRef:
    metadata = item["metadata"]
    return ObjectRef(like.kind, like.group, metadata.get("namespace") or "", metadata["name"])
