"""What the page of archiving shows of a thing."""

from __future__ import annotations

from core.leaving import Standing, left_outside, refers_to, still_open
from projects.leaving.services import is_archived
from projects.leaving.things import Thing, kind_of, text_of
from projects.leaving.uses import not_restorable
from projects.models import Cluster, Environment, Image, Project

STOPPED = "Its history, deploys, builds and audit can still be read, with the tag “archived”."
ENDS = (
    "No pull credential is renewed for it any more; the one in its namespace ends by itself within 12 hours."
)


def standing_of(thing: Thing) -> Standing:
    """The thing's standing. Which questions are asked depends on whether it is archived."""
    archived = is_archived(thing)
    return Standing(
        kind_of(thing), text_of(thing), effects_of(thing), archived, thing.archived_at, thing.archived_by,
        hinders=tuple(not_restorable(thing) if archived else still_open(thing)),
        refers=tuple(refers_to(thing)) if archived else (), left=tuple(left_outside(thing)),
    )  # fmt: skip


def effects_of(thing: Thing) -> tuple[str, ...]:
    """What archiving does, in sentences."""
    if isinstance(thing, Project):
        return (
            "It leaves the board, the search and every list, with its environments and images.",
            "Nothing is deployed or built: not by people, rules, pushes or the command line.",
            "Its clusters and repository are not asked any more. No secret is read or changed.",
            ENDS, "What runs on the clusters goes on running.", STOPPED,
        )  # fmt: skip
    if isinstance(thing, Environment):
        return (
            "It leaves the board, the search and every list.",
            "Nothing is deployed here: not by people, rules or the command line. Secrets are not changed.",
            "The cluster is not asked about it any more, and nobody is told of troubles.",
            ENDS, "What runs there goes on running.", STOPPED,
        )  # fmt: skip
    if isinstance(thing, Image):
        return (
            "It is not built any more, and deploys do not pin it: manifests that name it are applied as they stand.",
            "Nothing in the registry is deleted.",
        )
    if isinstance(thing, Cluster):
        return (
            "No environment can be put on it.",
            "It is not asked any more, and no pull credential is renewed there.",
        )
    return ("No image can be put into it.", "New pull secrets do not open it, and it is not asked any more.")
