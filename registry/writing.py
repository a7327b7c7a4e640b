"""Writes Secrets, many at once, and reads them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from engine.cluster.client import ApiError, Client
from registry import cluster, leases
from registry.cluster import Place, in_threads, read_each, read_secrets
from registry.faults import CHANGED, Fault, of_cluster
from registry.judging import REPLACE, Verdict
from registry.leases import Held
from registry.secrets import Seen
from registry.verdicts import Looked, verdict_on
from registry.wanted import Content, Wanted, content_for

CHUNK = 64  # writes between two renewals of the lease


@dataclass(frozen=True)
class Outcome:
    """What became of one write: the content that stands there now, or why it does not."""

    content: Content | None
    fault: Fault | None = None


@dataclass(frozen=True)
class Writer:
    """Writes the Secrets of one look."""

    held: Held
    client: Client
    looked: Looked
    want: Wanted

    def write_all(
        self, todo: Mapping[Place, Verdict], told: Callable[[int], object] = lambda done: None
    ) -> dict[Place, Outcome]:
        """Writes these, then reads them back: only what stands there counts. Raises LeaseLost between two chunks."""
        places = list(todo)
        found: dict[Place, Outcome] = {}
        for start in range(0, len(places), CHUNK):
            leases.renew(self.held)
            chunk = places[start : start + CHUNK]
            found |= zip(chunk, in_threads(lambda place: self._write(place, todo[place]), chunk), strict=True)
            told(len(found))
        return found

    def read_back(self, found: Mapping[Place, Outcome]) -> dict[Place, Outcome]:
        """The outcomes by what the cluster has now. A cluster that does not answer leaves them as they are."""
        tried = [place for place, outcome in found.items() if outcome.content is not None]
        try:
            there = read_secrets(self.client, tried)
        except ApiError:
            return dict(found)
        return {place: _compared(outcome, there.get(place)) for place, outcome in found.items()}

    def _write(self, place: Place, verdict: Verdict) -> Outcome:
        live = self.looked.live.get(place)
        outcome = self._once(place, verdict, live)
        if outcome.fault is None or outcome.fault.kind != CHANGED:
            return outcome
        return self._again(place, verdict)

    def _again(self, place: Place, verdict: Verdict) -> Outcome:
        """After a conflict: reads the Secret again, and judges again. Another worker may have done it already."""
        try:
            live = read_each(self.client, [place]).get(place)
        except ApiError as error:
            return Outcome(None, of_cluster(error, place.namespace, place.name))
        judged = verdict_on(self.looked, place, self.want, live)
        if not judged.action:
            content = content_for(self.want, live, self.looked.rows[place])
            return Outcome(content if judged.fault is None else None, judged.fault)
        return self._once(place, replace(judged, cause=verdict.cause), live)

    def _once(self, place: Place, verdict: Verdict, live: Seen | None) -> Outcome:
        content = content_for(self.want, live, self.looked.rows[place])
        if content is None:
            return Outcome(None, self.want.fault)
        try:
            if verdict.action == REPLACE and live is not None:
                cluster.replace(self.client, place, content.data, expires_at=content.expires_at, live=live)
            else:
                cluster.write(self.client, place, content.data, expires_at=content.expires_at, live=live)
        except ApiError as error:
            return Outcome(content, of_cluster(error, place.namespace, place.name))
        return Outcome(content)


NOT_THERE = Fault(
    "The Secret was written, but something else stands there when it is read back.",
    "Another controller, or a webhook, changes it. It is tried again.",
)


def _compared(outcome: Outcome, live: Seen | None) -> Outcome:
    """A write whose answer was lost counts when its content stands there."""
    if outcome.content is None:
        return outcome
    if live is not None and live.fingerprint == outcome.content.fingerprint and live.can_be_patched:
        return Outcome(outcome.content)
    return Outcome(None, outcome.fault or NOT_THERE)
