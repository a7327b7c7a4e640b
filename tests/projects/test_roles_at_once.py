"""Roles of one person in many projects: one save, audited for each change, and nothing overwritten that came meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from audit.models import AuditEvent
from people.models import User
from projects.models import Membership, Project, Role
from tests import factories as make
from tests.projects.conftest import World


@pytest.fixture
def many(world: World) -> list[Project]:
    """Sixty more, in two groups."""
    return [
        make.make_project(slug=f"p{n}", name=f"Part {n:02}", group="web" if n % 2 else "data")
        for n in range(60)
    ]


def address(user: User) -> str:
    return reverse("projects:person-roles", args=[user.pk])


def rows(*wanted: tuple[Project, str, str]) -> dict[str, Any]:
    """What a form sends: project, role as it was seen, role to have."""
    sent: dict[str, Any] = {"roles-TOTAL_FORMS": len(wanted), "roles-INITIAL_FORMS": len(wanted)}
    for number, (project, was, role) in enumerate(wanted):
        sent |= {
            f"roles-{number}-project": project.pk,
            f"roles-{number}-was": was,
            f"roles-{number}-role": role,
        }
    return sent


def roles_of(user: User) -> dict[str, str]:
    return {row.project.slug: row.role for row in Membership.objects.filter(user=user, environment=None)}


def events() -> list[tuple[str, str]]:
    found = AuditEvent.objects.filter(verb__startswith="membership.").order_by("id")
    return [(event.verb.partition(".")[2], event.project_slug) for event in found]


def test_several_are_saved_at_once_and_again_without_effect(
    world: World, sign_in: Any, many: list[Project]
) -> None:
    client = sign_in(world.admin)
    sent = rows(
        (many[0], "", "viewer"), (many[1], "", "deployer"), (world.project, "viewer", ""), (many[2], "", "")
    )
    answer = client.post(address(world.viewer), sent, follow=True)
    assert "role is changed in Part 00, Part 01, Shop" in answer.content.decode()
    assert roles_of(world.viewer) == {"p0": "viewer", "p1": "deployer"}
    assert events() == [("granted", "p0"), ("granted", "p1"), ("revoked", "shop")]
    again = client.post(address(world.viewer), sent, follow=True)
    assert "Nothing was different" in again.content.decode()
    assert len(events()) == 3


def test_what_came_meanwhile_is_shown_and_nothing_is_saved(
    world: World, sign_in: Any, many: list[Project]
) -> None:
    client = sign_in(world.admin)
    make.grant(world.stranger, Role.MAINTAINER, many[0])
    sent = rows((many[0], "", "viewer"), (many[1], "", "viewer"))
    answer = client.post(address(world.stranger), sent)
    page = answer.content.decode()
    assert (answer.status_code, "Part 00 (now maintainer)" in page) == (422, True)
    assert roles_of(world.stranger) == {"p0": "maintainer"}
    sent["roles-0-was"] = "maintainer"  # what the page carries now
    assert 'name="roles-0-was" value="maintainer"' in page
    client.post(address(world.stranger), sent)
    assert roles_of(world.stranger) == {"p0": "viewer", "p1": "viewer"}


def test_roles_in_one_environment_stay(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    assert "also maintainer in Staging" in client.get(address(world.staging_maintainer)).content.decode()
    client.post(address(world.staging_maintainer), rows((world.project, "", "viewer")))
    client.post(address(world.staging_maintainer), rows((world.project, "viewer", "")))
    assert Membership.objects.get(user=world.staging_maintainer).environment == world.environment


def test_sixty_projects_are_filtered_by_name_or_group(
    world: World, sign_in: Any, many: list[Project], django_assert_max_num_queries: Any
) -> None:
    client = sign_in(world.admin)
    with django_assert_max_num_queries(8):
        page = client.get(address(world.viewer)).content.decode()
    assert page.count("<select") == 61
    assert page.index("Shop") < page.index("Part 00")  # those with a role come first
    assert client.get(address(world.viewer) + "?q=web").content.decode().count("<select") == 30
    assert client.get(address(world.viewer) + "?q=part 07").content.decode().count("<select") == 1
    assert "No project has" in client.get(address(world.viewer) + "?q=zzz").content.decode()


def test_a_damaged_page_saves_nothing(world: World, sign_in: Any) -> None:
    sent = rows((world.project, "viewer", "emperor"))
    assert sign_in(world.admin).post(address(world.viewer), sent).status_code == 422
    assert roles_of(world.viewer) == {"shop": "viewer"}


def test_a_role_is_taken_away_only_after_a_question(world: World, sign_in: Any) -> None:
    row = Membership.objects.get(user=world.viewer)
    where = reverse("projects:member-revoke", args=["shop", row.pk])
    client = sign_in(world.maintainer)
    assert where in client.get(reverse("projects:members", args=["shop"])).content.decode()
    asked = client.get(where).content.decode()
    assert "is viewer of Shop" in asked.replace("<b>", "").replace("</b>", "")
    assert Membership.objects.filter(pk=row.pk).exists()
    assert client.post(where).status_code == 302
    assert not Membership.objects.filter(pk=row.pk).exists()
