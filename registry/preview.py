"""Which namespaces a policy means, before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.cluster.client import ApiError, Client
from engine.errors import SlipwayError
from projects.connections import hasty_client
from registry.cluster import Place
from registry.faults import of_cluster
from registry.models import Credential, Namespaces, PullPolicy
from registry.places import plan
from registry.policies import environments_of, policy_of


@dataclass(frozen=True)
class Preview:
    """The Secrets that a policy means. `new`, `gone`: compared with what is kept now. `is_sure`: the cluster was asked; else
    `reason` tells why the answer comes from what the portal knows."""

    places: tuple[Place, ...]
    new: frozenset[Place]
    gone: tuple[Place, ...]
    is_sure: bool
    reason: str = ""


def preview(policy: PullPolicy) -> Preview:
    """Asks the cluster for its namespaces (one or two requests, short timeouts). When it does not answer: what is known."""
    try:
        client = hasty_client(policy.cluster, purpose="preview of a policy")
    except SlipwayError as error:
        return _compared(policy, known_places(policy), reason=error.message)
    try:
        return _compared(policy, _asked(client, policy))
    except ApiError as error:
        return _compared(
            policy, known_places(policy), reason=of_cluster(error, "", policy.secret_name).sentence
        )
    finally:
        client.close()


def _asked(client: Client, policy: PullPolicy) -> tuple[Place, ...]:
    return plan(client, policy).places


def known_places(policy: PullPolicy) -> tuple[Place, ...]:
    """The Secrets that a policy means, without asking the cluster: of environments all; else those that are kept by the same
    policy already, and those that environments name."""
    named = [Place(one.namespace, one.pull_secret) for one in environments_of(policy.cluster)]
    if policy.namespaces == Namespaces.ENVIRONMENTS:
        return tuple(dict.fromkeys(named))
    stored = policy_of(policy.cluster)
    same = (stored.namespaces, stored.selector) == (policy.namespaces, policy.selector)
    kept = sorted({place.namespace for place in _kept(policy)} | {place.namespace for place in named})
    wide = policy.namespaces == Namespaces.ALL or same
    return tuple(
        dict.fromkeys([Place(name, policy.secret_name) for name in kept if wide] + (named if wide else []))
    )


def _kept(policy: PullPolicy) -> list[Place]:
    rows = Credential.objects.filter(cluster=policy.cluster).values_list("namespace", "secret_name")
    return [Place(namespace, name) for namespace, name in rows]


def _compared(policy: PullPolicy, places: Sequence[Place], *, reason: str = "") -> Preview:
    kept = _kept(policy)
    new, gone = frozenset(places) - frozenset(kept), [place for place in kept if place not in places]
    return Preview(tuple(places), new, tuple(gone), not reason, reason)
