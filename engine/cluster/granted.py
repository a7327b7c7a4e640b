"""Node ports and addresses of Services: the server gives them out when it writes, and its dry run looks at half of them.

In a dry run it finds a node port that is taken and an address of another network. It does not find: a node port outside of
its range, an address that is taken, and two Services of one deploy that ask for the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.cluster.client import ApiError, Client, find, list_all
from engine.cluster.resources import ClusterKinds, built_in
from engine.types import Json, Manifest, ObjectRef

USUAL_PORTS = range(30000, 32768)  # kube-apiserver --service-node-port-range; no API tells a cluster's own


@dataclass(frozen=True)
class Ungranted:
    """What the server will refuse, or (`is_sure` False) may refuse, when it writes a Service. `field`: the path at fault."""

    ref: ObjectRef
    sentence: str
    hint: str
    field: str
    is_sure: bool = True


def ungranted(client: Client, kinds: ClusterKinds, manifests: Sequence[Manifest]) -> list[Ungranted]:
    """What will not be given out, of Services that name a port of the nodes or an address. Asks the cluster only where one
    does so. Raises ApiError when it does not answer."""
    services = [m for m in manifests if (m.ref.group, m.ref.kind) == ("", "Service")]
    found = [*_twice(services), *_taken(client, services)]
    for manifest in services:
        odd = [(field, port) for field, port in _ports(manifest) if port not in USUAL_PORTS]
        live = find(client, kinds.path_of(manifest)) if odd else None
        known = {port for _, port in _ports_of(live or {})}
        found += [_odd(manifest, field, port) for field, port in odd if port not in known]
    return found


def _odd(manifest: Manifest, field: str, port: int) -> Ungranted:
    usual = f"{USUAL_PORTS.start}-{USUAL_PORTS.stop - 1}"
    words = f"Service {manifest.ref.name}: {field} is {port}. Clusters give out the ports {usual}, unless they are set otherwise."
    hint = (
        "The dry run of the server does not look at it. Remove the field, so that the cluster chooses a port."
    )
    return Ungranted(manifest.ref, words, hint, field, is_sure=False)


def _twice(services: Sequence[Manifest]) -> Iterator[Ungranted]:
    """Services of one deploy that ask for the same port or address."""
    first: dict[object, Manifest] = {}
    for manifest in services:
        for field, value in [*_ports(manifest), *_addresses(manifest)]:
            other = first.setdefault(value, manifest)
            if other is not manifest:
                asks = f"which Service {other.ref.name} asks for, too ({other.source})."
                yield _refused(manifest, field, value, asks)


def _taken(client: Client, services: Sequence[Manifest]) -> Iterator[Ungranted]:
    """Addresses that another Service of the cluster has; nothing where the account may not list them."""
    wanted = [(manifest, field, value) for manifest in services for field, value in _addresses(manifest)]
    if not wanted:
        return
    try:
        items, _ = list_all(client, built_in("Service").path())
    except ApiError as error:
        if error.status != 403:
            raise
        return
    owners = {address: item["metadata"] for item in items for address in _addresses_of(item)}
    for manifest, field, value in wanted:
        owner = owners.get(value)
        if owner and (owner.get("namespace"), owner["name"]) != (manifest.ref.namespace, manifest.ref.name):
            # Names of other places are not for everybody here.
            is_near = owner.get("namespace") == manifest.ref.namespace
            whose = f"Service {owner['name']}" if is_near else "another Service of the cluster"
            yield _refused(manifest, field, value, f"which {whose} has.")


def _refused(manifest: Manifest, field: str, value: object, why: str) -> Ungranted:
    words = f"Service {manifest.ref.name}: {field} is {value}, {why}"
    return Ungranted(manifest.ref, words, "Remove the field, so that the cluster chooses.", field)


def _ports(manifest: Manifest) -> list[tuple[str, int]]:
    return list(_ports_of(manifest.body))


def _ports_of(body: Json) -> Iterator[tuple[str, int]]:
    """The ports of the nodes that a Service names, each once, with their fields. One of its ports may have the same for TCP
    and for UDP."""
    spec = body.get("spec") or {}
    fields = [
        (f"spec.ports[{n}].nodePort", port.get("nodePort")) for n, port in enumerate(_list(spec.get("ports")))
    ]
    seen = set()
    for field, port in [*fields, ("spec.healthCheckNodePort", spec.get("healthCheckNodePort"))]:
        if isinstance(port, int) and port and port not in seen:
            seen.add(port)
            yield field, port


def _list(value: object) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _addresses(manifest: Manifest) -> list[tuple[str, str]]:
    field = "spec.clusterIP" if (manifest.body.get("spec") or {}).get("clusterIP") else "spec.clusterIPs"
    return [(field, address) for address in _addresses_of(manifest.body)]


def _addresses_of(body: Json) -> list[str]:
    spec = body.get("spec") or {}
    several = spec.get("clusterIPs")
    named = [spec.get("clusterIP"), *(several if isinstance(several, list) else [])]
    return list(dict.fromkeys(one for one in named if isinstance(one, str) and one not in ("", "None")))
