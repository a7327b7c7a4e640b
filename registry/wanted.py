"""What the Secrets of a cluster are to hold now, from the stored tokens; and the content of one Secret.

For a registry without a living token a Secret keeps what stands there: a credential that may still open is not taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.secret_values import digest
from projects.models import Registry
from registry.faults import Fault
from registry.models import Credential, RegistryToken
from registry.secrets import PullCredential, Seen, content_of
from registry.tokens import Identity, by_identity, opened, stored


@dataclass(frozen=True)
class Wanted:
    """The credentials by host, the tokens that they come from, why other hosts have none, and why tokens that still live could
    not be renewed."""

    credentials: Mapping[str, PullCredential] = field(repr=False)
    tokens: Mapping[str, RegistryToken] = field(repr=False)
    lacking: Mapping[str, Fault]
    ageing: Mapping[str, Fault]

    @property
    def fault(self) -> Fault | None:
        """What is wrong with the tokens: a registry without one first."""
        return next(iter((*self.lacking.values(), *self.ageing.values())), None)


def wanted(registries: Sequence[Registry]) -> Wanted:
    """What is wanted of these registries, by the tokens as they are stored. Raises RuntimeError without a redactor."""
    credentials: dict[str, PullCredential] = {}
    tokens: dict[str, RegistryToken] = {}
    lacking: dict[str, Fault] = {}
    ageing: dict[str, Fault] = {}
    groups = by_identity(registries)
    rows = stored(list(groups))
    for identity, group in groups.items():
        open_here = opened(rows[identity], group)
        credentials |= open_here
        for registry in group:
            tokens[registry.host] = rows[identity]
            if registry.host not in open_here:
                lacking[registry.host] = _why(rows[identity], registry, identity)
            elif rows[identity].last_error:
                ageing[registry.host] = Fault(rows[identity].last_error, rows[identity].hint)
    return Wanted(credentials, tokens, lacking, ageing)


def _why(row: RegistryToken, registry: Registry, identity: Identity) -> Fault:
    proof = row.proofs.get(registry.host, {})
    if proof.get("refused"):
        return Fault(proof["error"], proof.get("hint", ""))
    if row.last_error:
        return Fault(row.last_error, row.hint)
    if row.token:
        return Fault(f"The token of {identity} has ended.", "A new one is asked for.")
    return Fault(f"There is no token for {identity} yet.", "It is asked for.")


@dataclass(frozen=True)
class Content:
    """The content of one Secret. `entries`: as `Credential.entries`; times: the earliest of its tokens."""

    data: bytes = field(repr=False)
    fingerprint: str
    entries: Mapping[str, Any]
    expires_at: datetime | None
    half_life_at: datetime | None
    proven_at: datetime | None
    proven_by: str


def content_for(want: Wanted, live: Seen | None, row: Credential) -> Content | None:
    """The content for one Secret; None when there is nothing to write. Keeps the entries that stand there for registries
    without a living token, and those that never were ours."""
    kept = {
        host: one
        for host, one in (live.credentials if live else {}).items()
        if host not in want.credentials and (host in want.lacking or host not in row.entries)
    }
    merged = {**kept, **want.credentials}
    if not merged:
        return None
    data = content_of(merged)
    entries = {host: _entry(want, row, one) for host, one in merged.items() if host in want.tokens}
    used = [want.tokens[host] for host in want.credentials]
    ends = [datetime.fromisoformat(entry["expires_at"]) for entry in entries.values() if entry["expires_at"]]
    halves = [token.half_life_at for token in used if token.half_life_at is not None]
    proofs = [token.proven_at for token in used if token.proven_at is not None]
    proven = min(proofs) if used and len(proofs) == len(used) else None
    return Content(
        data, digest(data), entries, min(ends, default=None), min(halves, default=None), proven,
        _proven_by(entries) if proven else "",
    )  # fmt: skip


def _entry(want: Wanted, row: Credential, one: PullCredential) -> dict[str, Any]:
    if one.host in want.credentials:
        token = want.tokens[one.host]
        by = token.proofs.get(one.host, {}).get("by", "")
        ends = token.ends_at.isoformat() if token.ends_at else ""
        return {"fingerprint": one.fingerprint, "expires_at": ends, "by": by}
    before = row.entries.get(one.host, {})
    if before.get("fingerprint") == one.fingerprint:
        return dict(before)
    return {"fingerprint": one.fingerprint, "expires_at": "", "by": ""}


def _proven_by(entries: Mapping[str, Any]) -> str:
    """The weakest proof of a Secret's entries."""
    found = {entry["by"] for entry in entries.values()}
    return "" if "" in found or not found else ("v2" if "v2" in found else "manifest")
