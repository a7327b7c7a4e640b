"""Credentials that end soon because nobody renews them, and what is told of them: banners, the status page, `/metrics`, and
warnings to operations. Reads the database alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from core.status import Notice, Row, Sample
from notify import operations
from notify.models import Alarm
from notify.operations import Alert
from registry.models import OF_CURRENT, Credential, RegistryToken, State, Watch

LEVELS = (0, 1, 3, 6)  # hours left at which people are told
OVERDUE = timedelta(minutes=10)  # after half of its life, when a renewal has had its tries
KEY = "pulls."
NOT_OURS = (State.MISSING, State.FOREIGN)


@dataclass(frozen=True)
class Group:
    """Credentials that end for one reason. `key`: of the reason; `where`: the clusters; `is_away`: a cluster that is silent."""

    key: str
    reason: str
    credentials: Sequence[Credential]
    is_away: bool = False

    @property
    def ends_at(self) -> datetime:
        """The first end."""
        return min(row.expires_at for row in self.credentials if row.expires_at is not None)

    @property
    def where(self) -> str:
        """Clusters and namespaces, at most three of them by name."""
        names = [f"{row.cluster.slug}/{row.namespace}" for row in self.credentials]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{', '.join(names[:3])}{more}"


def ending(now: datetime) -> QuerySet[Credential]:
    """The credentials that end within the greatest level, or have ended, and whose renewal is overdue. One that is paused ends,
    too, unless its pause is over before."""
    overdue = Q(half_life_at__lt=now - OVERDUE) | Q(half_life_at=None)
    rows = Credential.objects.filter(OF_CURRENT, overdue, expires_at__lte=now + timedelta(hours=max(LEVELS)))
    rows = rows.exclude(wakes_in_time(now))
    rows = rows.exclude(state__in=NOT_OURS).select_related("cluster").defer("cluster__kubeconfig")
    return rows.order_by("expires_at", "namespace")


def wakes_in_time(now: datetime) -> Q:
    """The credentials with a pause of their own that is over before they end, so that they are renewed in time."""
    return Q(paused_until__gt=now, paused_until__lt=F("expires_at"))


def level_of(ends_at: datetime, now: datetime) -> int:
    """The smallest level that is reached: 0 for what has ended."""
    left = (ends_at - now).total_seconds() / 3600
    return next(level for level in LEVELS if left <= level or level == max(LEVELS))


def groups(now: datetime) -> list[Group]:
    """The credentials that end, by reason: a silent cluster, a token that cannot be renewed, else the cluster of each."""
    away = {one.cluster_id: one for one in Watch.objects.filter(OF_CURRENT).exclude(failing_since=None)}
    tokens = {one.last_error: one for one in RegistryToken.objects.exclude(last_error="").defer("token")}
    found: dict[str, list[Credential]] = {}
    reasons: dict[str, str] = {}
    for row in ending(now):
        key, reason = f"cluster.{row.cluster_id}", row.last_error or "it is not renewed"
        if row.cluster_id in away:
            key, reason = f"away.{row.cluster_id}", away[row.cluster_id].last_error
        elif row.last_error in tokens:
            key = f"token.{tokens[row.last_error].pk}"
        found.setdefault(key, []).append(row)
        reasons.setdefault(key, reason)
    return [Group(key, reasons[key], rows, key.startswith("away.")) for key, rows in found.items()]


def warn() -> None:
    """The tick: warns operations at 6, 3 and 1 hours left and at the end, once for each reason, and tells when it is over. A
    cluster that is away is one warning, however long it is away."""
    if not operations.are_wanted():
        return
    now = timezone.now()
    opened = set(Alarm.objects.filter(key__startswith=KEY, ended_at=None).values_list("key", flat=True))
    alerts: dict[str, Alert] = {}
    for group in groups(now):
        for key in _keys(group, now, opened):
            alerts[key] = _alert(group, now)
    operations.compare(KEY, alerts)


def _keys(group: Group, now: datetime, opened: Iterable[str]) -> list[str]:
    """The level that is reached, and those that were told on the way to it, which are not over."""
    if group.is_away:
        return [f"{KEY}{group.key}"]
    level = level_of(group.ends_at, now)
    before = [f"{KEY}{group.key}.{one}h" for one in LEVELS if one > level]
    return [f"{KEY}{group.key}.{level}h", *(key for key in before if key in opened)]


def _alert(group: Group, now: datetime) -> Alert:
    ended = group.ends_at <= now
    when = f"since {group.ends_at:%H:%M} UTC" if ended else f"from {group.ends_at:%H:%M} UTC on"
    text = (
        f"New pods cannot pull their images {when} in {group.where}: {group.reason.rstrip('.')}. Running pods go on."
        " The page tells the remedy."
    )
    return Alert("failed" if ended else "warning", text, f"{settings.BASE_URL}/registry/")


def notices() -> list[Notice]:
    """One banner for everybody, without names: each person sees their own namespaces on the page."""
    now = timezone.now()
    ends = [row.expires_at for row in ending(now) if row.expires_at is not None]
    if not ends:
        return []
    level, ended = level_of(min(ends), now), sum(at <= now for at in ends)
    if ended:
        text = f"Image pulls fail in {_namespaces(ended)}: the credential has ended. Running pods go on."
    else:
        text = (
            f"Image pulls stop within {level} h in {_namespaces(len(ends))}: the credential is not renewed."
        )
    remedy = "The page says why, and what to do."
    return [
        Notice(f"{KEY}ending", text, remedy, "failed" if level <= 1 else "warning", "/registry/", "Registry")
    ]


def _namespaces(number: int) -> str:
    return f"{number} namespace{'' if number == 1 else 's'}"


def rows() -> list[Row]:
    """One row for each cluster on the status page; two queries."""
    now = timezone.now()
    by_cluster: dict[int, list[Credential]] = {}
    shown = Credential.objects.filter(OF_CURRENT).select_related("cluster")
    for row in shown.defer("cluster__kubeconfig", "entries"):
        by_cluster.setdefault(row.cluster_id, []).append(row)
    watches = {one.cluster_id: one for one in Watch.objects.all()}
    bad = {row.pk for row in ending(now)}
    return [_row(found, watches.get(pk), bad, now) for pk, found in by_cluster.items()]


def _row(found: Sequence[Credential], watch: Watch | None, bad: set[int], now: datetime) -> Row:
    cluster = found[0].cluster
    ends = [row for row in found if row.pk in bad]
    works = sum(
        row.expires_at is not None and row.expires_at > now and row.state not in NOT_OURS for row in found
    )
    sentence = f"Pulls work in {works} of {len(found)} namespaces."
    error = (watch.last_error if watch else "") or next((row.last_error for row in ends), "")
    first = min((row.expires_at for row in ends if row.expires_at), default=None)
    state = "valid" if first is None else "failed" if level_of(first, now) <= 1 else "warning"
    remedy = ((watch.hint if watch else "") or next((row.hint for row in ends), "")) if ends else ""
    return Row(
        "Pull credentials", cluster.name, state, sentence=sentence, error=error, remedy=remedy,
        answered_at=watch.looked_at if watch else None, failed_at=watch.failing_since if watch else None,
        url=f"/registry/?cluster={cluster.slug}",
    )  # fmt: skip


def samples() -> list[Sample]:
    """Hours left of each credential; 0 for one that has ended or is missing. None for Secrets of others."""
    now = timezone.now()
    found = (
        Credential.objects.filter(OF_CURRENT)
        .exclude(state=State.FOREIGN)
        .select_related("cluster")
        .defer("cluster__kubeconfig")
    )
    absent = Q(state=State.MISSING, failing_since=None)
    return [
        Sample(
            "slipway_pull_credential_hours_left", "Hours until the pull credential of a namespace ends.", _hours(row, now),
            {"cluster": row.cluster.slug, "namespace": row.namespace, "secret": row.secret_name},
        )
        for row in found.exclude(absent)
    ]  # fmt: skip


def _hours(row: Credential, now: datetime) -> float:
    if row.expires_at is None or row.state == State.MISSING:
        return 0.0
    return round(max(0.0, (row.expires_at - now).total_seconds() / 3600), 3)
