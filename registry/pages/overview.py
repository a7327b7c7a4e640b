"""The page as data: everything from the database, nothing from outside; a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from projects.models import Cluster
from registry.models import Credential, PullPolicy, Watch
from registry.pages import listing, totals, troubles
from registry.pages.listing import Asked, Line
from registry.pages.progress import Going, going
from registry.pages.pulls import Pull, failing_pulls, places_of_pulls
from registry.pages.tokens import TokenLine, token_lines
from registry.pages.totals import Total
from registry.pages.troubles import Card
from registry.queries import credentials_for

EACH = timedelta(minutes=1)  # the portal looks at each cluster


@dataclass(frozen=True)
class Section:
    """One cluster with the rows that show. `more`: how many do not; `older`: whether a further page has some."""

    cluster: Cluster
    total: Total
    policy: PullPolicy
    watch: Watch
    lines: tuple[Line, ...]
    more: int
    older: bool = False

    @property
    def next_look(self) -> datetime | None:
        """When the portal looks at it again."""
        if self.watch.next_try_at is not None and self.watch.failing_since is not None:
            return self.watch.next_try_at
        return self.watch.looked_at + EACH if self.watch.looked_at else None

    @property
    def covers(self) -> str:
        """Which namespaces its policy means."""
        words = {
            "selector": f"namespaces with {self.policy.selector}",
            "all": "all namespaces without the system's",
        }
        return words.get(self.policy.namespaces, "namespaces of environments that name a pull secret")


@dataclass(frozen=True)
class Overview:
    """All that the page shows."""

    asked: Asked
    total: Total
    tokens: list[TokenLine]
    cards: list[Card]
    sections: list[Section]
    pulls: list[Pull]
    going: list[Going]

    @property
    def is_busy(self) -> bool:
        """Whether a renewal waits or runs."""
        return any(one.is_open for one in self.going)

    @property
    def next_look(self) -> datetime | None:
        """The next look at any cluster."""
        return min((one.next_look for one in self.sections if one.next_look), default=None)


def overview(user: Any, asked: Asked, now: datetime) -> Overview:
    """The page for a person."""
    credentials = credentials_for(user)
    parts = totals.totals(credentials, now)
    lines = listing.lines(user, credentials, asked, now)
    tokens = token_lines(user)
    clusters = [part.cluster for part in parts]
    seen = Watch.objects.select_related("cluster").defer("cluster__kubeconfig").filter(cluster__in=clusters)
    watches = {one.cluster_id: one for one in seen}
    policies = {one.cluster_id: one for one in PullPolicy.objects.filter(cluster__in=clusters)}
    ends = {part.cluster: part.stops_at for part in parts if part.stops_at is not None}
    shown = [_section(part, policies, watches, lines, asked) for part in parts]
    return Overview(
        asked, totals.added(parts), tokens, troubles.cards(watches.values(), tokens, lines, ends, now),
        [section for section in shown if section is not None], _pulls(user, now), going(user, credentials, now),
    )  # fmt: skip


def _section(
    total: Total,
    policies: dict[int, PullPolicy],
    watches: dict[int, Watch],
    lines: Sequence[Line],
    asked: Asked,
) -> Section | None:
    own = [line for line in lines if line.row.cluster_id == total.cluster]
    if not own:
        return None
    cluster = own[0].row.cluster
    limit = listing.PAGE if asked.cluster else listing.FEW
    more = max(0, total.namespaces - len(own)) if not (asked.cluster or asked.text or asked.attention) else 0
    policy = policies.get(total.cluster) or PullPolicy(cluster=cluster)
    watch = watches.get(total.cluster) or Watch(cluster=cluster)
    return Section(cluster, total, policy, watch, tuple(own[:limit]), more, len(own) > limit)


def _pulls(user: Any, now: datetime) -> list[Pull]:
    """The pods that cannot pull, with the credentials of their places; two queries."""
    places = places_of_pulls(user)
    if not places:
        return []
    here = Q(
        cluster__in={cluster for cluster, _ in places}, namespace__in={namespace for _, namespace in places}
    )
    rows = credentials_for(user).filter(here)
    known: dict[tuple[int, str, str], Credential] = {
        (row.cluster_id, row.namespace, row.secret_name): row for row in rows
    }
    return failing_pulls(user, known, now)
