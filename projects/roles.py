"""Finds the roles in projects for the pages of accounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Q
from django.urls import reverse

from people.roles import HeldRole
from projects.models import Membership, Role


def held_by(users: Sequence[int]) -> Iterator[HeldRole]:
    """Yields the roles of these people (by pk), ordered by project and environment; without those in what is archived."""
    current = Q(project__archived_at=None) & (Q(environment=None) | Q(environment__archived_at=None))
    rows = Membership.objects.filter(current, user__in=users).select_related("project", "environment")
    # Only these columns: the project's credential is not decrypted for this.
    rows = rows.only("user_id", "role", "project__name", "project__slug", "environment__name")
    for row in rows.order_by("project__name", "environment__order"):
        yield HeldRole(
            user_id=row.user_id,
            rank=Role(row.role).rank,
            role=row.get_role_display(),
            place=str(row.project),
            part=row.environment.name if row.environment else "",
            url=f"/projects/{row.project.slug}/",
            where_given=reverse("projects:members", args=[row.project.slug]),
        )
