"""Which projects a delivery concerns: in these it is decided, and shown.

A delivery that a project's own secret signed concerns that project alone. One that the site's secret signed concerns the projects
of its repository to which an admin has allotted the address: anybody may name any repository in a project's settings, and must
not learn of the pushes to a private one by that. An archived project is concerned by none.
"""

from __future__ import annotations

from builds.addresses import key_of, keys_of
from builds.models import Delivery
from projects.allotting.rules import uncovered
from projects.allotting.wishes import of_git
from projects.models import Project

SEEN = "seen"  # the event of rows that the portal makes of a push that no delivery told


def signers_of(delivery: Delivery) -> set[int]:
    """Primary keys of the projects whose own secret signed the delivery; none for the site's secret."""
    first = {delivery.signed_by_id} if delivery.signed_by_id else set()
    return set(delivery.signers) | first


def named_by(delivery: Delivery) -> list[Project]:
    """The projects of the delivery's repository for which its signer may speak, with and without the address."""
    keys, own = keys_of(delivery.addresses), signers_of(delivery)
    if not keys:
        return []
    rows = Project.objects.current().filter(pk__in=own) if own else Project.objects.current()
    found = [pk for pk, url in rows.values_list("pk", "repository_url") if key_of(url) in keys]
    return list(Project.objects.filter(pk__in=found).order_by("pk"))


def projects_of(delivery: Delivery) -> list[Project]:
    """The projects that the delivery concerns. What was seen in Git concerns the project that it was looked for."""
    if delivery.event == SEEN:
        return [one for one in [delivery.signed_by] if one is not None and not one.archived_at]
    found = named_by(delivery)
    return found if signers_of(delivery) else with_address(found)


def with_address(projects: list[Project]) -> list[Project]:
    """Those to which the address of their repository is allotted, in one query."""
    wishes = {(project.pk, wish) for project in projects for wish in of_git(project.repository_url)}
    without = {pk for pk, _ in uncovered(wishes)}
    return [project for project in projects if project.pk not in without]


def hears_site(project: Project) -> bool:
    """Whether deliveries that the site's secret signs concern the project, if they are of its repository."""
    return bool(with_address([project]))


def nobody(delivery: Delivery) -> str:
    """Why a push concerns no project, as a sentence for admins."""
    name = f" {delivery.repository}" if delivery.repository else ""
    if named := named_by(delivery):
        whose = ", ".join(project.name for project in named[:5])
        return (
            f"The address of the repository{name} is not allotted to {whose}, so the site's secret does not count there. "
            "The portal looks for the push in Git instead."
        )
    return f"No project of the portal has the repository{name}, or it is archived."
