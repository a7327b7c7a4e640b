"""Workloads whose number of replicas a HorizontalPodAutoscaler decides.

`spec.replicas` of such a workload has two masters. A manifest that sets it fights the autoscaler; one that drops it
lets it fall to one replica, as long as the autoscaler has not written it: a field that its only owner drops is
removed, and its default is 1. So a deploy leaves the number to the autoscaler whatever the manifest says: it keeps
what is live, and where nobody else owns the field, it hands it over as Kubernetes' documentation of server-side apply
describes ("transferring ownership"): by an apply of that one field under a name of its own, which goes by itself as
soon as the autoscaler writes.

Zero replicas are different: there an autoscaler rests. A manifest that says 0 stops the workload, and what is stopped
starts as its manifest says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.cluster.client import ApiError, Client, list_all
from engine.cluster.ownership import only_we_own
from engine.cluster.resources import built_in, split_api_version
from engine.manifests.references import mapping_of
from engine.types import Json, Manifest, ObjectRef

_KIND = "HorizontalPodAutoscaler"
_GROUP = "autoscaling"
_SCALED = frozenset({("apps", "Deployment"), ("apps", "StatefulSet")})
_FIELD: Json = {"f:spec": {"f:replicas": {}}}


@dataclass(frozen=True)
class Autoscaler:
    """The autoscaler that decides the number of a workload's replicas. `in_deploy`: whether the deploy brings it, too."""

    name: str
    in_deploy: bool


Autoscalers = Mapping[ObjectRef, Autoscaler]  # by the workload that it scales


@dataclass(frozen=True)
class Replicas:
    """The decision of a deploy about the number of one workload's replicas.

    `keeps`: the number that stays whatever the manifest says; None: as the manifest says. `hands_over`: nobody but us
    owns the field, so that it must be handed over first. `warning`, `hint`: what somebody should read about it.
    """

    keeps: int | None = None
    hands_over: bool = False
    warning: str = ""
    hint: str = ""


def read_autoscalers(client: Client, manifests: Sequence[Manifest]) -> dict[ObjectRef, Autoscaler]:
    """The autoscalers of these workloads: those on the cluster, and those that come with them. One list per
    namespace. Where the account may not list them, or the cluster has none, only those that come are known. Raises
    ApiError."""
    found: dict[ObjectRef, Autoscaler] = {}
    for namespace in sorted({m.ref.namespace for m in manifests if _is_scaled(m.ref)}):
        found |= _targets(_live(client, namespace), in_deploy=False)
    return found | _targets((m.body for m in manifests if m.ref.kind == _KIND), in_deploy=True)


def replicas_of(manifest: Manifest, live: Json | None, autoscaler: Autoscaler | None) -> Replicas:
    """The decision for one workload. `live`: the object on the cluster, None when it does not exist."""
    wanted, now = _number(manifest.body), _number(live) if live else None
    if autoscaler is None or (wanted is None and (now is None or _says(manifest.body))):
        return Replicas()
    title = f"{manifest.ref.kind} {manifest.ref.name}"
    if wanted == 0:
        text = f"{title}: the manifest sets spec.replicas to 0: it is stopped, and the autoscaler {autoscaler.name} rests."
        return Replicas(
            warning=text, hint="Remove spec.replicas from the manifest and scale it up to start it."
        )
    fight = f"{title}: the manifest sets spec.replicas to {wanted}, but the autoscaler {autoscaler.name} decides it."
    if now is None or live is None:
        return Replicas(
            warning=f"{fight} It starts with {wanted}; later deploys leave it alone.",
            hint=_advice(autoscaler),
        )
    if now == 0:
        if wanted is None:
            return Replicas()
        return Replicas(
            warning=f"{fight} It is stopped now and starts with {wanted}.", hint=_advice(autoscaler)
        )
    alone = only_we_own(live["metadata"].get("managedFields") or [], _FIELD)
    if wanted is not None:
        return Replicas(now, alone, f"{fight} The deploy leaves it at {now}.", _advice(autoscaler))
    if not alone or now == 1:
        return Replicas(now, alone)
    text = f"{title}: the manifest no longer sets spec.replicas, and the autoscaler {autoscaler.name} has not set it yet."
    return Replicas(now, True, f"{text} The deploy leaves it at {now} and hands it over.", _HANDED_OVER)


_HANDED_OVER = "There is nothing to do. A field that is only dropped would fall to one replica."


def falls_to_one(manifest: Manifest, live: Json, result: Json) -> Replicas:
    """The warning about a workload that no autoscaler is known for: its manifest dropped the number, and one replica
    is left."""
    now = _number(live)
    if not _is_scaled(manifest.ref) or _says(manifest.body) or _number(result) != 1 or not now or now == 1:
        return Replicas()
    title = f"{manifest.ref.kind} {manifest.ref.name}"
    return Replicas(
        warning=f"{title}: the manifest no longer sets spec.replicas: it falls from {now} replicas to 1.",
        hint=(
            "Write the number into the manifest. If an autoscaler is to decide it, deploy the autoscaler together with "
            "this: the number stays then."
        ),
    )


def without_replicas(manifest: Manifest) -> Manifest:
    """The manifest as it is applied where an autoscaler decides the number."""
    spec = {key: value for key, value in manifest.body["spec"].items() if key != "replicas"}
    return replace(manifest, body={**manifest.body, "spec": spec})


def with_replicas(manifest: Manifest, number: int) -> Manifest:
    """The manifest with the number that stays, for a dry run."""
    return replace(manifest, body={**manifest.body, "spec": {**manifest.body["spec"], "replicas": number}})


def handover(manifest: Manifest, number: int) -> Json:
    """The body that is applied to hand the number over: this one field of the object."""
    metadata = {"name": manifest.ref.name, "namespace": manifest.ref.namespace}
    spec = {"replicas": number}
    return {
        "apiVersion": manifest.api_version, "kind": manifest.ref.kind, "metadata": metadata, "spec": spec,
    }  # fmt: skip


def _advice(autoscaler: Autoscaler) -> str:
    if autoscaler.in_deploy:
        return "Remove spec.replicas from the manifest."
    return (
        "Remove spec.replicas from the manifest. If the manifest is to decide, delete the autoscaler from the cluster: it "
        "is not in the manifests."
    )


def _live(client: Client, namespace: str) -> list[Json]:
    try:
        return list_all(client, built_in(_KIND, "autoscaling/v2").path(namespace))[0]
    except ApiError as error:
        if error.status in (403, 404):
            return []
        raise


def _targets(bodies: Iterable[Json], *, in_deploy: bool) -> dict[ObjectRef, Autoscaler]:
    return {
        target: Autoscaler(str(body["metadata"].get("name")), in_deploy)
        for body in bodies
        for target in _target(body)
    }


def _target(body: Json) -> Iterator[ObjectRef]:
    """The workload that an autoscaler names; a manifest may hold anything."""
    target = mapping_of(mapping_of(body.get("spec")).get("scaleTargetRef"))
    group, _ = split_api_version(str(target.get("apiVersion", "")))
    namespace = str(body["metadata"].get("namespace") or "")
    ref = ObjectRef(str(target.get("kind", "")), group, namespace, str(target.get("name", "")))
    if _is_scaled(ref):
        yield ref


def _is_scaled(ref: ObjectRef) -> bool:
    return (ref.group, ref.kind) in _SCALED


def _says(body: Json) -> bool:
    return mapping_of(body.get("spec")).get("replicas") is not None


def _number(body: Json) -> int | None:
    """`spec.replicas`; None where it is not set, or no number (the server refuses that by itself)."""
    number = mapping_of(body.get("spec")).get("replicas")
    return number if isinstance(number, int) and not isinstance(number, bool) else None
