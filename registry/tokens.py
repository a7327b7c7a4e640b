"""Tokens of ECR: one for each identity and region, made by one worker at a time, proven before it is used.

A token that opens nothing, or that could not be tried, never replaces a living one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from adapters.aws.ecr import RegistryToken as Made
from adapters.errors import ExternalError
from core.redactor import redact_text
from projects.connections import ecr
from projects.models import Registry
from registry import leases
from registry.faults import Fault, of_outside
from registry.leases import Held, LeaseLost
from registry.models import RegistryToken
from registry.proving import Proof, tried
from registry.secrets import PullCredential, register_credentials

WAIT_SECONDS = 20.0  # for another worker that is making the same token
# An old token that ends sooner is replaced by one that could not be tried.
UNPROVEN_BEFORE = timedelta(minutes=30)
LONGEST_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True)
class Identity:
    """The identity that asks AWS for a token, and the region. An empty role: the portal's own identity."""

    region: str
    role_arn: str

    @property
    def lease(self) -> str:
        """The name of the lease under which its token is made."""
        return f"token-{self.region}-{self.role_arn}"[:260]

    def __str__(self) -> str:
        return f"{self.region}{f' as {self.role_arn}' if self.role_arn else ''}"


def by_identity(registries: Sequence[Registry]) -> dict[Identity, list[Registry]]:
    """The registries that one token opens, by its identity."""
    found: dict[Identity, list[Registry]] = {}
    for registry in registries:
        found.setdefault(Identity(registry.region, registry.role_arn), []).append(registry)
    return found


def stored(identities: Sequence[Identity]) -> dict[Identity, RegistryToken]:
    """The stored tokens; an empty one, not stored, for an identity without."""
    rows = RegistryToken.objects.filter(region__in={one.region for one in identities})
    known = {Identity(row.region, row.role_arn): row for row in rows}
    return {
        one: known.get(one) or RegistryToken(region=one.region, role_arn=one.role_arn) for one in identities
    }


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many failures in a row: 1, 2, 4 … 15 minutes, a little more or less."""
    pause = min(LONGEST_PAUSE, timedelta(minutes=2 ** min(attempts - 1, 5)))
    return pause * random.uniform(0.8, 1.2)  # noqa: S311


def lives(row: RegistryToken, now: datetime) -> bool:
    """Whether there is a token that has not ended. One that no key decrypts is none: a new one takes its place."""
    return row.token.is_readable and row.ends_at is not None and row.ends_at > now


def is_old(row: RegistryToken, now: datetime) -> bool:
    """Whether a new token is wanted: there is none, half of its life is over, or it was never proven."""
    half = row.half_life_at
    return not row.token.is_readable or half is None or half <= now or row.proven_at is None


def is_due(row: RegistryToken, hosts: Sequence[str], now: datetime, *, forced: bool = False) -> bool:
    """Whether to ask AWS or a registry now: it is old or one of the hosts has not proven it, and no pause is on. `forced`: in
    spite of a pause."""
    unproven = any(not row.proofs.get(host, {}).get("by") for host in hosts)
    waits = row.next_try_at is not None and row.next_try_at > now and not forced
    return (is_old(row, now) or unproven) and not waits


def opened(row: RegistryToken, registries: Sequence[Registry]) -> dict[str, PullCredential]:
    """The living token's credential for each of these registries that did not refuse it; none of one that has ended."""
    if not lives(row, timezone.now()):
        return {}
    refused = {host for host, proof in row.proofs.items() if proof.get("refused")}
    found = [
        PullCredential(registry.host, row.username, row.token.open())
        for registry in registries
        if registry.host not in refused
    ]
    register_credentials(found)
    return {one.host: one for one in found}


def renewed(
    identity: Identity,
    registries: Sequence[Registry],
    *,
    newer_than: datetime | None = None,
    forced: bool = False,
    prove: bool = False,
    wait: float = WAIT_SECONDS,
) -> tuple[RegistryToken, Fault | None]:
    """The token after an attempt to renew it, and why that failed. Another worker's attempt of the same moment counts for this
    one, too. `newer_than`: also renew one that was made before; `forced`: in spite of a pause; `prove`: also try one that is
    not due, and renew it when the registry refuses it. Raises RuntimeError without a redactor."""
    register_credentials(())
    with leases.leased(identity.lease, wait=wait) as held:
        row = stored([identity])[identity]
        now = timezone.now()
        if not prove and not is_wanted(row, registries, newer_than, now, forced=forced):
            return row, _last_fault(row)
        if held is None:
            return row, Fault(
                "Another worker is asking AWS for the token and has not finished.", "It is tried again."
            )
        try:
            return _attempt(row, identity, registries, held, newer_than)
        except LeaseLost as error:
            return stored([identity])[identity], Fault(error.message)


def is_wanted(
    row: RegistryToken,
    registries: Sequence[Registry],
    newer_than: datetime | None,
    now: datetime,
    *,
    forced: bool = False,
) -> bool:
    """Whether to renew it: it is due, or was made before `newer_than`."""
    if newer_than is not None:
        return row.minted_at is None or row.minted_at <= newer_than
    return is_due(row, [registry.host for registry in registries], now, forced=forced)


def _last_fault(row: RegistryToken) -> Fault | None:
    return Fault(row.last_error, row.hint) if row.last_error else None


def _attempt(
    row: RegistryToken,
    identity: Identity,
    registries: Sequence[Registry],
    held: Held,
    newer_than: datetime | None,
) -> tuple[RegistryToken, Fault | None]:
    """Tries a young token; makes a new one for one that is old, or that every registry refuses now although it still has time:
    a token can die early. Stores what came of it."""
    now = timezone.now()
    young = lives(row, now) and (row.half_life_at or now) > now
    if young and newer_than is None:
        proofs = _proofs(_credentials(row.username, row.token.open(), registries), registries)
        if any(proof.by for proof in proofs):
            return _store(row, held, **_proven(proofs, now, row.proofs)), None
        if all(proof.is_silent for proof in proofs):
            return _failed(row, held, _worst(proofs), proofs)
        row.proofs = {**row.proofs, **_as_json(proofs, now)}  # what AWS or its registry now says decides
    try:
        made = ecr(registries[0], hasty=True).token()  # short: the minute's look comes again
    except ExternalError as error:
        return _failed(row, held, of_outside(error), ())
    return _judge(row, identity, registries, held, made)


def _judge(
    row: RegistryToken, identity: Identity, registries: Sequence[Registry], held: Held, made: Made
) -> tuple[RegistryToken, Fault | None]:
    """Tries a new token, and takes it if a registry opens; or, untried, if the old one is about to end."""
    leases.renew(held)
    credentials = _credentials(made.username, made.password, registries)
    proofs = _proofs(credentials, registries)
    now = timezone.now()
    if any(proof.by for proof in proofs):
        return _store(row, held, **_values(made, credentials, now), **_proven(proofs, now, {})), None
    fault = _worst(proofs)
    ends = row.ends_at if row.token else None
    if any(proof.is_silent for proof in proofs) and (ends is None or ends - now < UNPROVEN_BEFORE):
        said = Fault(
            f"{fault.sentence} The new token is used without a proof, because the old one "
            f"{'has ended' if ends is None or ends <= now else 'ends within half an hour'}.",
            fault.hint,
        )
        values = {**_values(made, credentials, now), "proven_at": None, "proofs": {}}
        return _failed(row, held, said, proofs, **values)
    return _failed(row, held, fault, proofs if not row.token else ())


def _credentials(username: str, password: str, registries: Sequence[Registry]) -> dict[str, PullCredential]:
    found = {registry.host: PullCredential(registry.host, username, password) for registry in registries}
    register_credentials(found.values())
    return found


def _proofs(credentials: Mapping[str, PullCredential], registries: Sequence[Registry]) -> list[Proof]:
    return [tried(credentials[registry.host], registry) for registry in registries]


def _worst(proofs: Sequence[Proof]) -> Fault:
    """What to say when no registry opened: that one refused, rather than that another was silent."""
    faults = [proof.fault for proof in sorted(proofs, key=lambda proof: proof.is_silent) if proof.fault]
    return faults[0] if faults else Fault("No registry is set up for this identity.")


def _values(made: Made, credentials: Mapping[str, PullCredential], now: datetime) -> dict[str, Any]:
    fingerprint = next(iter(credentials.values())).fingerprint
    return {
        "username": made.username, "token": made.password, "fingerprint": fingerprint, "minted_at": now,
        "expires_at": made.expires_at, "session_ends_at": made.session_ends_at,
    }  # fmt: skip


def _proven(proofs: Sequence[Proof], now: datetime, before: Mapping[str, Any]) -> dict[str, Any]:
    # One registry still lacks its proof.
    again = None if all(proof.by for proof in proofs) else now + LONGEST_PAUSE
    return {
        "proofs": {**before, **_as_json(proofs, now)}, "proven_at": now, "attempts": 0, "next_try_at": again,
        "failing_since": None, "last_error": "", "hint": "",
    }  # fmt: skip


def _as_json(proofs: Sequence[Proof], now: datetime) -> dict[str, Any]:
    return {
        proof.host: {
            "by": proof.by, "at": now.isoformat(), "refused": proof.is_refused, "image": proof.image,
            "error": redact_text(proof.fault.sentence) if proof.fault else "",
            "hint": redact_text(proof.fault.hint) if proof.fault else "",
        }
        for proof in proofs
    }  # fmt: skip


def _failed(
    row: RegistryToken, held: Held, fault: Fault, tried_now: Sequence[Proof], **values: Any
) -> tuple[RegistryToken, Fault]:
    now = timezone.now()
    attempts = row.attempts + 1
    if tried_now and "proofs" not in values:
        values["proofs"] = {**row.proofs, **_as_json(tried_now, now)}
    values |= {
        "attempts": attempts, "next_try_at": now + pause_after(attempts), "failing_since": row.failing_since or now,
        "last_error": redact_text(fault.sentence)[:500], "hint": redact_text(fault.hint)[:500],
    }  # fmt: skip
    return _store(row, held, **values), fault


def _store(row: RegistryToken, held: Held, **values: Any) -> RegistryToken:
    """Writes the row under the fence of the lease. Raises LeaseLost."""
    for name, value in values.items():
        setattr(row, name, value)
    row.fence = held.fence
    with leases.fenced(held):
        row.save()
    return row
