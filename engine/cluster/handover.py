"""Leaves the number of a workload's replicas to its autoscaler (engine/cluster/autoscaling.py decides; this module writes)."""

from __future__ import annotations

from collections.abc import Callable

from engine.cluster.autoscaling import Autoscaler, handover, replicas_of, without_replicas
from engine.cluster.client import ACCEPT_METADATA, APPLY, ApiError, Client, find
from engine.cluster.ownership import HANDOVER_MANAGER, conflicts_of, has_changed
from engine.cluster.takeover import APPLY_QUERY, keeps_changing
from engine.types import Json, Manifest


def leave_to_autoscaler(
    client: Client, path: str, manifest: Manifest, autoscaler: Autoscaler | None, *, tries: int,
    confirm: Callable[[], None],
) -> tuple[Manifest, int | None]:  # fmt: skip
    """The manifest without the number of replicas where an autoscaler decides it, and the number that was handed over to it,
    if that had to be done. `confirm`: raises when this work may no longer write; called between the read and the write.
    Raises ApiError, and SlipwayError for an object that changes again and again."""
    for _ in range(tries):
        live = find(client, path) if autoscaler else None
        replicas = replicas_of(manifest, live, autoscaler)
        if live is None or replicas.keeps is None:
            return manifest, None
        if not replicas.hands_over:
            return without_replicas(manifest), None
        confirm()
        try:
            done = _hand_over(client, path, manifest, live, replicas.keeps)
        except ApiError as error:
            if not has_changed(error):
                raise
        else:
            return without_replicas(manifest), replicas.keeps if done else None
    raise keeps_changing(manifest)


def _hand_over(client: Client, path: str, manifest: Manifest, live: Json, number: int) -> bool:
    """Whether the number had to be handed over: after a conflict, another program has set a number and owns it."""
    body = handover(manifest, number)
    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    query = {**APPLY_QUERY, "fieldManager": HANDOVER_MANAGER}
    try:
        client.send("PATCH", path, query=query, body=body, content_type=APPLY, accept=ACCEPT_METADATA)
    except ApiError as error:
        if conflicts_of(error.causes):
            return False
        raise
    return True
