"""What a deploy does not wait for, but speaks of at its end: an Ingress without an address, a certificate that
is not ready, an autoscaler that cannot measure, a volume claim that is not bound. Any of them may take long or
never come on a healthy cluster."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cluster.client import ApiError, Client
from engine.cluster.parallel import Outcomes, Talk
from engine.cluster.resources import ClusterKinds
from engine.errors import SlipwayError
from engine.health.pods import condition
from engine.types import Json, Manifest

_KINDS = frozenset(
    {
        ("networking.k8s.io", "Ingress"),
        ("cert-manager.io", "Certificate"),
        ("cert-manager.io", "Issuer"),
        ("cert-manager.io", "ClusterIssuer"),
        ("autoscaling", "HorizontalPodAutoscaler"),
        ("", "PersistentVolumeClaim"),
    }
)


def soft_warnings(client: Client, kinds: ClusterKinds, manifests: Sequence[Manifest]) -> list[str]:
    """One sentence for each such object that is not well now. Each is read once; what cannot be read is left
    out."""
    soft = [manifest for manifest in manifests if (manifest.ref.group, manifest.ref.kind) in _KINDS]

    def read(manifest: Manifest, talk: Talk) -> Json:
        return client.request("GET", kinds.path_of(manifest))

    found = {
        m.ref: body for m, body in Outcomes(soft, read, None) if not isinstance(body, SlipwayError | ApiError)
    }
    sentences = [soft_warning(ref.kind, found[ref]) for ref in sorted(found)]
    return [
        f"{ref.kind} {ref.name} {text}" for ref, text in zip(sorted(found), sentences, strict=True) if text
    ]


def soft_warning(kind: str, body: Json) -> str:
    """What is not well about an object, or an empty text."""
    status = body.get("status") or {}
    if kind == "Ingress":
        return "" if (status.get("loadBalancer") or {}).get("ingress") else "has no address yet."
    if kind == "PersistentVolumeClaim":
        return "" if status.get("phase") == "Bound" else f"is {status.get('phase') or 'not bound yet'}."
    if kind == "HorizontalPodAutoscaler":
        active = condition(body, "ScalingActive")
        broken = active.get("status") == "False" and active.get("reason") != "ScalingDisabled"
        return f"does not scale: {active.get('message')}" if broken else ""
    ready = condition(body, "Ready")
    if ready.get("status") == "True":
        return ""
    return f"is not ready yet: {ready.get('message') or 'its controller has not spoken'}"
