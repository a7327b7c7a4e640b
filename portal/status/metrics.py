"""`/metrics` in Prometheus' text format. All values come from the database and Redis, so every web process gives the same."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db.models import Count, DurationField, ExpressionWrapper, F, Min, Q, Sum
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from audit import chain
from core.heartbeats import Process
from core.middleware import is_trusted
from core.status import Sample, registered_samples
from deployments.gate.kind import DEPLOY
from notify.models import Outgoing
from portal.status import dependencies, own, telling, troubles, watch
from portal.status.pulse import Bell, Records
from runs.models import ENDS

KINDS = (DEPLOY,)  # each kind of run
BUCKETS = (10, 30, 60, 120, 300, 600, 1200, 3600)  # seconds


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The values; 404 for everybody but the bearer of METRICS_TOKEN and callers in METRICS_NETWORKS, 503 without a database."""
    if not may_scrape(request):
        raise Http404
    pulse = watch.now()
    telling.look()
    if pulse.records is None or pulse.records.problem:
        return HttpResponse("# The database does not answer.\n", status=503, content_type="text/plain")
    registry = CollectorRegistry(auto_describe=False)
    samples = _samples(pulse.records, pulse.bell)
    registry.register(_Values([*_gauges(samples), *_durations()]))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def may_scrape(request: HttpRequest) -> bool:
    """Whether the caller has the token, or an address in the networks. With neither setting nobody may."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode()):
        return True
    return is_trusted(request.META.get("REMOTE_ADDR", ""), settings.METRICS_NETWORKS)


class _Values(Collector):
    """A collector of metrics that were made before."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def _gauges(samples: Iterable[Sample]) -> Iterator[Metric]:
    """Samples of the same name as one metric."""
    for name, same in groupby(sorted(samples, key=lambda one: one.name), key=lambda one: one.name):
        found = list(same)
        metric = GaugeMetricFamily(name, found[0].help, labels=list(found[0].labels))
        for sample in found:
            metric.add_metric([str(sample.labels[label]) for label in found[0].labels], sample.value)
        yield metric


def _samples(records: Records, bell: Bell | None) -> Iterator[Sample]:
    yield from _own(records, bell)
    yield from _queues(records, bell)
    yield from _runs()
    yield from _outbox()
    yield from _outside()
    yield from _chain()
    yield from registered_samples()


def _own(records: Records, bell: Bell | None) -> Iterator[Sample]:
    redis_up = bell is not None and not bell.problem
    yield Sample("slipway_redis_up", "1 while Redis answers.", redis_up)
    alive = not troubles.scheduler_is_silent(records)
    yield Sample("slipway_scheduler_up", "1 while a scheduler works.", alive)
    silent = records.scheduler_silent
    if silent is not None:
        yield Sample("slipway_scheduler_silent_seconds", "Since a scheduler last worked.", silent)
    for one in records.processes:
        yield Sample(
            "slipway_heartbeat_age_seconds", "Since the last heartbeat of a process.", one.age, _labels(one)
        )
    room = own.disk().state == "reachable"
    yield Sample("slipway_data_disk_ok", "1 while the data directory has room.", room)


def _labels(one: Process) -> dict[str, str]:
    return {"kind": one.kind, "host": one.host, "pid": str(one.pid), "queues": ",".join(one.queues)}


def _queues(records: Records, bell: Bell | None) -> Iterator[Sample]:
    for name in settings.RQ_QUEUES:
        workers = troubles.workers_of(name, records)
        label = {"queue": name}
        yield Sample("slipway_queue_workers", "Living workers of a queue.", len(workers), label)
        yield Sample(
            "slipway_queue_workers_busy", "Those at work.", sum(bool(w.doing) for w in workers), label
        )
    for queue in bell.queues if bell else ():
        label = {"queue": queue.name}
        yield Sample("slipway_queue_jobs", "Waiting jobs of a queue.", queue.length, label)
        yield Sample(
            "slipway_queue_oldest_seconds", "Since its oldest job was enqueued.", queue.oldest or 0, label
        )


def _runs() -> Iterator[Sample]:
    for kind in KINDS:
        rows = kind.rows().order_by().values_list("state").annotate(n=Count("pk"))
        for state, count in rows:
            yield Sample(
                "slipway_runs", "Runs by kind and state.", count, {"kind": kind.name, "state": state}
            )


def _outbox() -> Iterator[Sample]:
    rows = Outgoing.objects.filter(state="waiting").order_by()
    found = rows.aggregate(n=Count("pk"), oldest=Min("created_at"))
    waited = (timezone.now() - found["oldest"]).total_seconds() if found["oldest"] else 0
    yield Sample("slipway_outbox_waiting", "Messages that are not sent yet.", found["n"])
    yield Sample("slipway_outbox_oldest_seconds", "Age of the oldest of them.", waited)


def _outside() -> Iterator[Sample]:
    for row in dependencies.rows():
        label = {"group": row.group, "name": row.name}
        up = row.state not in ("unreachable", "failed")
        yield Sample("slipway_dependency_up", "0 while an outside system does not answer.", up, label)
        if row.group == dependencies.CLUSTERS:
            yield Sample(
                "slipway_cluster_up", "0 while a cluster does not answer.", up, {"cluster": row.name}
            )
        if row.answered_at is not None:
            age = (timezone.now() - row.answered_at).total_seconds()
            yield Sample("slipway_dependency_silent_seconds", "Since its last answer.", age, label)


def _chain() -> Iterator[Sample]:
    count, seconds = chain.lag()
    yield Sample("slipway_audit_unchained", "Settled audit events that are not chained yet.", count)
    yield Sample("slipway_audit_lag_seconds", "For how long the oldest of them has waited.", seconds)


def _durations() -> Iterator[Metric]:
    """How long runs took, from start to end, by kind and state."""
    metric = HistogramMetricFamily(
        "slipway_run_duration_seconds", "Seconds from start to end.", labels=["kind", "state"]
    )
    for kind in KINDS:
        for row in _grouped(kind):
            buckets = [(str(float(limit)), row[f"le_{limit}"]) for limit in BUCKETS]
            labels = [kind.name, row["state"]]
            metric.add_metric(labels, [*buckets, ("+Inf", row["n"])], row["total"].total_seconds())
    yield metric


def _grouped(kind: Any) -> Iterable[dict[str, Any]]:
    took = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
    limits = {f"le_{limit}": Count("pk", filter=Q(took__lte=timedelta(seconds=limit))) for limit in BUCKETS}
    ended = kind.rows().filter(state__in=ENDS, started_at__isnull=False, ended_at__isnull=False)
    rows: Iterable[dict[str, Any]] = (
        ended.annotate(took=took)
        .order_by()
        .values("state")
        .annotate(n=Count("pk"), total=Sum("took"), **limits)
    )
    return rows
