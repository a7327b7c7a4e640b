"""Reads the live state of an environment from its cluster and stores it, so that a slow cluster never makes a slow page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.db import transaction
from django.db.models import F, Min, QuerySet
from django.utils import timezone

from adapters.kubernetes.client import KubernetesClient
from clusters import troubles
from clusters.models import LiveState
from core import changes
from core.redactor import redact_text
from engine.cluster.live import Live, Workload, read_all
from engine.errors import SlipwayError
from engine.health.pulling import FailedPull
from projects.connections import hasty_client
from projects.infrastructure import note_answer
from projects.models import Cluster, Environment
from projects.reachability import note_cluster, note_failure, why_down

MOST_PULLS = 20  # of one workload, and of all pods beside them
# From worst to best: an environment is as healthy as its worst workload.
ORDER = ("failing", "degraded", "progressing", "unknown", "suspended", "healthy")


def worst(workloads: Sequence[Workload]) -> tuple[str, str]:
    """Health and sentence of an environment: those of its worst workload. `empty` without workloads."""
    if not workloads:
        return LiveState.Health.EMPTY, "Nothing runs here."
    found = min(workloads, key=lambda workload: ORDER.index(workload.health))
    if found.health == "healthy":
        ready = sum(workload.ready for workload in workloads)
        return found.health, f"{ready} of {sum(workload.desired for workload in workloads)} replicas ready."
    return found.health, f"{found.ref.name}: {found.sentence}"


def shown(workload: Workload) -> dict[str, object]:
    """A workload as JSON for `LiveState.workloads`, redacted. `pulls` only where a pod cannot pull, `serves` only where old
    pods go on serving."""
    pulls = [_pull(pull) for pull in workload.pulls[:MOST_PULLS]]
    return {
        "ref": str(workload.ref), "kind": workload.ref.kind, "name": workload.ref.name, "images": list(workload.images),
        "desired": workload.desired, "ready": workload.ready, "updated": workload.updated, "health": workload.health,
        "sentence": redact_text(workload.sentence), "managed": workload.managed,
        **({"pulls": pulls} if pulls else {}),
        **({"serves": list(workload.serves)} if workload.serves else {}),
    }  # fmt: skip


def _pull(pull: FailedPull) -> dict[str, object]:
    return {
        "pod": pull.pod, "container": pull.container, "image": pull.image, "message": redact_text(pull.message)[:300],
        "secrets": list(pull.secrets), "born": pull.born, "owner": pull.owner,
    }  # fmt: skip


@contextmanager
def reader_of(cluster: Cluster) -> Iterator[KubernetesClient | None]:
    """A client for the reads of several environments during the block; None when none can be made, for example because the
    kubeconfig cannot be decrypted: each read then tells the reason."""
    try:
        client = hasty_client(cluster, purpose="live state")
    except SlipwayError:
        yield None
        return
    try:
        yield client
    finally:
        client.close()


def learn_version(cluster: Cluster, client: KubernetesClient | None) -> None:
    """Notes the version of a cluster that was registered while it did not answer. Does nothing where it is known, or is not
    told: another look asks again."""
    if cluster.version or client is None:
        return
    with suppress(SlipwayError):
        note_answer(cluster, version=client.probe().version, at=timezone.now())


def _read(environment: Environment, client: KubernetesClient | None) -> Live:
    """The live state, over a client of its own when none is given. Raises SlipwayError."""
    if client is not None:
        return read_all(client, environment.namespace, environment_label=environment.label)
    own = hasty_client(environment.cluster, purpose="live state")
    try:
        return read_all(own, environment.namespace, environment_label=environment.label)
    finally:
        own.close()


def refresh_environment(environment: Environment, client: KubernetesClient | None = None) -> bool:
    """Reads the cluster and stores its answer. False when it did not answer: the old answer stays, with the reason. `client`:
    one of `reader_of`, for many reads."""
    now = timezone.now()
    LiveState.objects.get_or_create(environment=environment)
    rows = LiveState.objects.filter(environment=environment)
    try:
        live = _read(environment, client)
    except SlipwayError as error:
        _note_silence(environment, redact_text(error.message)[:500])
        note_failure(environment.cluster, error)
        return False
    health, sentence = worst(live.workloads)
    with transaction.atomic():
        held = rows.select_for_update().get()
        if held.read_at is None or held.read_at <= now:  # else a read that began later has answered already
            said: dict[str, object] = {
                "workloads": [shown(workload) for workload in live.workloads], "health": health,
                "pulls": [_pull(pull) for pull in live.beside[:MOST_PULLS]], "sentence": redact_text(sentence)[:300],
                "error": "",
            }  # fmt: skip
            rows.update(**said, read_at=now, tried_at=now)
            troubles.note(environment, live.workloads, now)
            if held.read_at is None or any(getattr(held, name) != value for name, value in said.items()):
                changes.note(environment.project.slug)
    note_cluster(environment.cluster, "")
    return True


def _note_silence(environment: Environment, message: str) -> None:
    """Stores why the cluster did not answer. The old answer stays."""
    with transaction.atomic():
        live, _ = LiveState.objects.select_for_update().get_or_create(environment=environment)
        LiveState.objects.filter(pk=live.pk).update(tried_at=timezone.now(), error=message)
        if not live.error:
            changes.note(environment.project.slug)


def note_lost(environment: Environment, reason: str) -> None:
    """Forgets what runs in a namespace that is not allotted to the project any more: its page shows the reason instead."""
    _note_silence(environment, reason[:500])
    LiveState.objects.filter(environment=environment).update(
        read_at=None, workloads=[], pulls=[], sentence="", health=LiveState.Health.UNKNOWN
    )


def is_down(environment: Environment) -> bool:
    """Whether the cluster failed to answer a moment ago. If so, stores the reason in the live state, and the caller skips the
    read.

    Otherwise each of its environments would wait for the timeout.
    """
    message = why_down(environment.cluster_id)
    if message is None:
        return False
    _note_silence(environment, message)
    return True


def _stale(seconds: float) -> QuerySet[Environment]:
    return Environment.objects.current().exclude(
        live__tried_at__gt=timezone.now() - timedelta(seconds=seconds)
    )


def stale_environments(seconds: float, cluster: Cluster) -> list[Environment]:
    """A cluster's environments whose last read is older than `seconds`, the oldest first."""
    rows = _stale(seconds).filter(cluster=cluster).select_related("cluster", "project")
    return list(rows.order_by(F("live__tried_at").asc(nulls_first=True)))


def stale_clusters(seconds: float) -> list[int]:
    """Ids of the clusters that have such environments, the one with the oldest read first."""
    rows = _stale(seconds).values("cluster").annotate(oldest=Min("live__tried_at"))
    return list(rows.order_by(F("oldest").asc(nulls_first=True)).values_list("cluster", flat=True))
