"""The page as data: everything from the database, nothing from outside; a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from projects.models import Cluster
from registry.models import Credential, PullPolicy, Watch
from registry.pages import listing, totals, troubles
from registry.pages.listing import Asked, Line, Listed
from registry.pages.progress import Going, going
from registry.pages.pulls import Pull, failing_pulls, places_of_pulls
from registry.pages.tokens import TokenLine, token_lines
from registry.pages.totals import Total
from registry.pages.troubles import Card
from registry.queries import credentials_for

EACH = timedelta(minutes=1)  # the portal looks at each cluster


@dataclass(frozen=True)
class Section:
    """One cluster with the rows that show; none where it is folded. `more`: how many do not; `older`: whether a further page has
    some; `query`: of the address of all that fit in it."""

    cluster: Cluster
    total: Total
    policy: PullPolicy
    watch: Watch
    lines: tuple[Line, ...]
    more: int
    older: bool = False
    query: str = ""

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
    found = listing.listed(user, credentials, asked, now, clusters=len(parts))
    tokens = token_lines(user)
    known = _known([part.cluster for part in parts])
    ends = {part.cluster: part.stops_at for part in parts if part.stops_at is not None}
    shown = [_section(part, known, found, asked) for part in sorted(parts, key=lambda part: part.bad == 0)]
    return Overview(
        asked, totals.added(parts), tokens, troubles.cards(known.watches.values(), tokens, found.troubled, ends, now),
        [section for section in shown if section is not None], _pulls(user, now), going(user, credentials, now),
    )  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is stored about the clusters of the page, by their ids."""

    clusters: Mapping[int, Cluster]
    watches: Mapping[int, Watch]
    policies: Mapping[int, PullPolicy]


def _known(clusters: Sequence[int]) -> Known:
    """Three queries."""
    rows = Cluster.objects.defer("kubeconfig").in_bulk(clusters)
    watches = {one.cluster_id: one for one in Watch.objects.filter(cluster__in=clusters)}
    for watch in watches.values():
        watch.cluster = rows[watch.cluster_id]
    policies = {one.cluster_id: one for one in PullPolicy.objects.filter(cluster__in=clusters)}
    return Known(rows, watches, policies)


def _section(total: Total, known: Known, found: Listed, asked: Asked) -> Section | None:
    cluster = known.clusters[total.cluster]
    own = [line for line in found.lines if line.row.cluster_id == total.cluster]
    if not own and (asked.is_filtered or asked.cluster):
        return None
    policy = known.policies.get(total.cluster) or PullPolicy(cluster=cluster)
    watch = known.watches.get(total.cluster) or Watch(cluster=cluster)
    if asked.cluster:
        return Section(cluster, total, policy, watch, tuple(own[: listing.PAGE]), 0, len(own) > listing.PAGE)
    there = found.matches.get(total.cluster, 0) if asked.is_filtered else total.credentials
    more = there - len(own)
    return Section(cluster, total, policy, watch, tuple(own), more, query=asked.within(cluster.slug))


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
