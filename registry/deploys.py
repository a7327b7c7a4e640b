"""What deploys ask of the pull credential: whether the portal keeps it, and to make it valid before the first pull."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from core.redactor import redactor_in_force
from engine.cluster.client import ApiError, Client
from projects.models import Environment, Registry
from registry.cluster import Place, read_each
from registry.faults import Fault
from registry.judging import of_others
from registry.leases import Held, LeaseLost, release, take
from registry.models import Cause, Credential, Namespaces, PullPolicy, State
from registry.places import plan_of_environment
from registry.policies import policy_of
from registry.reconcile import Ask, Look, lease_of
from registry.secrets import Seen

WAIT_SECONDS = 20.0  # for another worker that renews in this cluster
POLL_SECONDS = 0.3
URGENT = timedelta(minutes=30)  # with less left a deploy tries in spite of a pause after failures


@dataclass(frozen=True)
class Ensured:
    """The pull credential of an environment, as a deploy has it now. `is_managed`: the portal keeps it; `is_usable`: pods can
    pull with it; `lacks_namespace`: the namespace is not there yet, ask again when it is."""

    is_managed: bool
    is_usable: bool = False
    is_written: bool = False
    lacks_namespace: bool = False
    sentence: str = ""
    hint: str = ""


UNMANAGED = Ensured(is_managed=False)


@dataclass(frozen=True)
class Keeping:
    """Whether the portal keeps an environment's pull secret, by its rows. `takes_over`: also one that others wrote; `row`: of the
    Secret, where the portal has looked at it."""

    is_managed: bool = False
    takes_over: bool = False
    row: Credential | None = None

    def leaves(self, place: Place, live: Seen) -> Fault | None:
        """Why the portal leaves the Secret alone that stands there now: its rows may be older, or it has never looked."""
        return None if self.takes_over or not self.is_managed else of_others(place, live)


def keeping(environment: Environment) -> Keeping:
    """Whether the portal keeps the environment's pull secret, so that a deploy may count on it. Not one that is paused, left to
    another writer, or outside of what the cluster's policy covers."""
    return keepings([environment])[environment.pk]


def keepings(environments: Sequence[Environment]) -> dict[int, Keeping]:
    """The same for many environments, by their primary keys. Three queries."""
    clusters = {one.cluster_id for one in environments}
    policies = {one.cluster_id: one for one in PullPolicy.objects.filter(cluster__in=clusters)}
    rows = Credential.objects.filter(
        cluster__in=clusters, namespace__in={one.namespace for one in environments}
    )
    known = {(row.cluster_id, row.namespace, row.secret_name): row for row in rows}
    opens_any = Registry.objects.current().exists()
    return {
        one.pk: _keeping(
            policies.get(one.cluster_id) or PullPolicy(cluster=one.cluster),
            known.get((one.cluster_id, one.namespace, one.pull_secret)),
            may=opens_any and bool(one.pull_secret),
        )
        for one in environments
    }


def _keeping(policy: PullPolicy, row: Credential | None, *, may: bool) -> Keeping:
    """`may`: the environment names a pull secret, and there is a registry that it can open."""
    if not may or policy.is_paused:
        return Keeping(row=row)
    if row is None:
        return Keeping(policy.namespaces == Namespaces.ENVIRONMENTS)
    paused = row.paused_until is not None and row.paused_until > timezone.now()
    return Keeping(not paused and (row.state != State.FOREIGN or row.adopt), row.adopt, row)


def is_managed(environment: Environment) -> bool:
    """Whether the portal keeps the environment's pull secret."""
    return keeping(environment).is_managed


def credential_of(environment: Environment) -> Credential | None:
    """The row of the environment's pull secret."""
    return Credential.objects.filter(
        cluster=environment.cluster_id, namespace=environment.namespace, secret_name=environment.pull_secret
    ).first()


def ensure(
    environment: Environment,
    client: Client,
    *,
    cause: str = Cause.DEPLOY,
    asked_as: str = "",
    wait: float = WAIT_SECONDS,
) -> Ensured:
    """Makes the environment's pull secret valid. One that is fresh is not written; twenty deploys at once make one token and one
    write. Waits for another worker up to `wait` seconds. Outside systems that fail are told in the result."""
    if not is_managed(environment):
        return UNMANAGED
    with redactor_in_force():
        ends = time.monotonic() + wait
        while True:
            if found := _fresh(environment, client):
                return found
            held = take(lease_of(environment.cluster))
            if held is not None:
                return _renewed(held, environment, client, cause, asked_as)
            if time.monotonic() >= ends:
                return _told(environment, is_written=False, late=True)
            time.sleep(POLL_SECONDS)


def _fresh(environment: Environment, client: Client) -> Ensured | None:
    """The answer for a Secret that stands there as it was written and whose half of life is not over; else None."""
    row = credential_of(environment)
    if row is None or row.half_life_at is None or row.half_life_at <= timezone.now() or not row.proven_at:
        return None
    place = Place(environment.namespace, environment.pull_secret)
    try:
        live = read_each(client, [place]).get(place)
    except ApiError:
        return None
    if live is None or live.fingerprint != row.fingerprint or not live.can_be_patched:
        return None
    return Ensured(True, True, sentence=f"The pull secret {row.secret_name} is valid.")


def _renewed(held: Held, environment: Environment, client: Client, cause: str, asked_as: str) -> Ensured:
    row = credential_of(environment)
    urgent = row is None or row.expires_at is None or row.expires_at - timezone.now() < URGENT
    ask = Ask(cause, environment.namespace, forced=urgent, asked_as=asked_as)
    policy = policy_of(environment.cluster)
    try:
        report = Look(held, client, policy, ask).run(known=plan_of_environment(environment))
    except LeaseLost:
        return _told(environment, is_written=False, late=True)
    finally:
        release(held)
    if report.fault is not None:
        return Ensured(True, sentence=report.fault.sentence, hint=report.fault.hint)
    written = any(done.result == "written" for done in report.done)
    return _told(environment, is_written=written)


def _told(environment: Environment, *, is_written: bool, late: bool = False) -> Ensured:
    """The result by what the row says now."""
    row = credential_of(environment)
    if row is None:
        return Ensured(
            True, sentence="Another worker is renewing the pull credentials.", hint="Deploy again."
        )
    if row.state == State.FOREIGN:
        return Ensured(False, sentence=row.last_error, hint=row.hint)
    usable = row.is_usable
    if usable and not row.last_error:
        verb = "was renewed" if is_written else "is valid"
        return Ensured(True, True, is_written, sentence=f"The pull secret {row.secret_name} {verb}.")
    text = row.last_error or ("Another worker has not finished renewing it." if late else "It is not valid.")
    gone = row.state == State.MISSING and row.failing_since is None
    return Ensured(True, usable, is_written, gone, text, row.hint)
