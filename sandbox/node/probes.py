"""Probes of a played container: when they are asked, when they pass, what they say when they do not."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.types import Json
from sandbox.node.behaviour import Play

_FIRST_SECONDS = 0.1  # a probe without a delay is asked as soon as the container runs


@dataclass(frozen=True)
class Probe:
    """One probe, with Kubernetes' defaults filled in. Times are seconds after the container's start, at speed 1."""

    kind: str  # Readiness, Liveness, Startup
    spec: Json = field(default_factory=dict)

    @property
    def delay(self) -> float:
        return float(self.spec.get("initialDelaySeconds") or 0)

    @property
    def period(self) -> float:
        return float(self.spec.get("periodSeconds") or 10)

    @property
    def threshold(self) -> int:
        """How many failures in a row count."""
        return int(self.spec.get("failureThreshold") or 3)

    @property
    def dying(self) -> float:
        """Seconds from its first failure to the last that it bears."""
        return (self.threshold - 1) * self.period

    @property
    def gives_up(self) -> float | None:
        """When a probe that never passes ends the container; None for a readiness probe."""
        return None if self.kind == "Readiness" else self.delay + self.period * self.threshold

    def passes_at(self, ready_after: float | None) -> float | None:
        """When it passes for a program that is ready so long after its start: at the first look after that."""
        if ready_after is None:
            return None
        looks = 0 if ready_after <= self.delay else int((ready_after - self.delay) // self.period) + 1
        return max(_FIRST_SECONDS, self.delay + looks * self.period)

    def failure(self, ip: str) -> str:
        """The event's text when it fails."""
        if "tcpSocket" in self.spec:
            port = self.spec["tcpSocket"].get("port")
            return f"{self.kind} probe failed: dial tcp {ip}:{port}: connect: connection refused"
        if "exec" in self.spec:
            return f"{self.kind} probe failed: "
        return f"{self.kind} probe failed: HTTP probe failed with statuscode: 503"


def probe_of(container: Json, name: str) -> Probe | None:
    """The container's `readinessProbe`, `livenessProbe` or `startupProbe`."""
    spec = container.get(name)
    return Probe(name.removesuffix("Probe").capitalize(), spec) if spec else None


def killing_probe(container: Json, play: Play) -> Probe | None:
    """The probe that ends this run: of a program that hangs up, or one that is never up under a startup probe."""
    if play.probe_kills:
        spec = container.get("livenessProbe") or {}
        return _Hanging("Liveness", {"failureThreshold": 2, "periodSeconds": 1, **spec}, play.ends_after)
    if play.ready_after is None and play.ends_after is None:
        return probe_of(container, "startupProbe")
    return None


@dataclass(frozen=True)
class _Hanging(Probe):
    """Of a program that hangs after a while."""

    after: float | None = None

    @property
    def gives_up(self) -> float | None:
        return None if self.after is None else self.after + self.dying
