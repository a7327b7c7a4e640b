"""The registries of the page, each with the times of its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from projects.access import visible_projects
from projects.models import Registry
from registry.models import RegistryToken
from registry.tokens import by_identity


@dataclass(frozen=True)
class TokenLine:
    """One registry. `token`: of its identity, without the token itself; None while there is none. `proof`: of this registry."""

    registry: Registry
    token: RegistryToken | None
    proof: dict[str, Any]

    @property
    def ends_at(self) -> datetime | None:
        """When its token ends."""
        return self.token.ends_at if self.token else None

    @property
    def renewed_at(self) -> datetime | None:
        """When a new token is due: at half of its life, or at the next attempt after a failure."""
        if self.token is None:
            return None
        return self.token.next_try_at if self.token.last_error else self.token.half_life_at

    @property
    def refusal(self) -> str:
        """Why the registry did not take the token; empty when it did, or was not asked."""
        return str(self.proof.get("error", "")) if self.proof.get("refused") else ""


def token_lines(user: Any) -> list[TokenLine]:
    """The registries that a person sees: admins all, others those of images of their projects. Two queries."""
    rows = Registry.objects.current().order_by("name")
    if not user.is_admin:
        rows = rows.filter(images__project__in=visible_projects(user).current()).distinct()
    registries: Sequence[Registry] = list(rows)
    known = {(one.region, one.role_arn): one for one in RegistryToken.objects.defer("token")}
    found = {
        registry.pk: TokenLine(registry, token, token.proofs.get(registry.host, {}) if token else {})
        for identity, group in by_identity(registries).items()
        for token in [known.get((identity.region, identity.role_arn))]
        for registry in group
    }
    return [found[registry.pk] for registry in registries]
