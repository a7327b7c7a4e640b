"""Service accounts that the policy names get the pull secret, so that pods need not name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from engine.cluster.client import ApiError, Client
from registry.cluster import Place, accounts_without, in_threads, let_account_pull
from registry.faults import Fault, of_cluster


def tend(client: Client, names: Sequence[str], places: Sequence[Place]) -> dict[Place, Fault]:
    """Adds the Secrets of these places to the accounts that lack them. Returns the places where that failed, with the reason.
    One list for each account's name; nothing is written where nothing lacks."""
    by_namespace = {place.namespace: place for place in places}
    failed: dict[Place, Fault] = {}
    for name in names:
        try:
            lacking = accounts_without(client, name, {ns: place.name for ns, place in by_namespace.items()})
        except ApiError as error:
            fault = of_cluster(error, "", f"service account {name}")
            failed |= dict.fromkeys(places, fault)
            continue
        todo = [by_namespace[namespace] for namespace in lacking]
        faults = in_threads(partial(_tended, client, name), todo)
        failed |= {place: fault for place, fault in zip(todo, faults, strict=True) if fault is not None}
    return failed


def _tended(client: Client, account: str, place: Place) -> Fault | None:
    try:
        let_account_pull(client, place.namespace, account, place.name)
    except ApiError as error:
        return of_cluster(error, place.namespace, f"service account {account}")
    return None


def with_faults(faults: Mapping[Place, Fault]) -> str:
    """One sentence about accounts that could not be changed; empty without any."""
    first = next(iter(faults.items()), None)
    if first is None:
        return ""
    more = f" And {len(faults) - 1} more." if len(faults) > 1 else ""
    return f"{first[0].namespace}: {first[1].sentence}{more}"
