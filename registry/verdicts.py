"""A look's findings, and the verdict on each Secret of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from registry.cluster import Place
from registry.judging import ENDING, NO_NAMESPACE, Verdict, judge
from registry.models import Credential, PullPolicy, State
from registry.places import Plan
from registry.secrets import Seen
from registry.wanted import Wanted, content_for


@dataclass(frozen=True)
class Looked:
    """What a cluster has and what the portal remembered of it. `at`: when it was looked at."""

    plan: Plan
    live: Mapping[Place, Seen]
    rows: Mapping[Place, Credential]
    policy: PullPolicy
    at: datetime


def verdicts_of(looked: Looked, want: Wanted) -> dict[Place, Verdict]:
    """What to do with each Secret."""
    return {place: verdict_on(looked, place, want, looked.live.get(place)) for place in looked.plan.places}


def verdict_on(looked: Looked, place: Place, want: Wanted, live: Seen | None) -> Verdict:
    """What to do with one Secret, which stands there as `live`."""
    homes, row = looked.plan.homes, looked.rows[place]
    if homes is not None and place.namespace not in homes:
        return Verdict(state=State.MISSING, fault=NO_NAMESPACE)
    if homes is not None and homes[place.namespace].is_ending:
        return Verdict(state=State.MISSING, fault=ENDING)
    if looked.policy.is_paused:
        return Verdict(state=State.PAUSED)
    return judge(place, live, row, content_for(want, live, row), want, looked.at)


def waits(row: Credential, now: datetime) -> bool:
    """Whether a pause after a failed attempt is on."""
    return row.next_try_at is not None and row.next_try_at > now
