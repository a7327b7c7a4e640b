"""The audit events of archiving, restoring and removing. Each verb stands here in full, so that a search finds it."""

from __future__ import annotations

from audit.actors import Actor
from projects import editing
from projects.leaving.things import Thing, project_of, text_of
from projects.models import Cluster, Environment, Image, Project


def archived(actor: Actor, thing: Thing) -> None:
    """Writes that the thing was archived."""
    if isinstance(thing, Project):
        _event(actor, thing, verb="project.archived")
    elif isinstance(thing, Environment):
        _event(actor, thing, verb="environment.archived")
    elif isinstance(thing, Image):
        _event(actor, thing, verb="image.archived")
    elif isinstance(thing, Cluster):
        _event(actor, thing, verb="cluster.archived")
    else:
        _event(actor, thing, verb="registry.archived")


def restored(actor: Actor, thing: Thing) -> None:
    """Writes that the thing was restored."""
    if isinstance(thing, Project):
        _event(actor, thing, verb="project.restored")
    elif isinstance(thing, Environment):
        _event(actor, thing, verb="environment.restored")
    elif isinstance(thing, Image):
        _event(actor, thing, verb="image.restored")
    elif isinstance(thing, Cluster):
        _event(actor, thing, verb="cluster.restored")
    else:
        _event(actor, thing, verb="registry.restored")


def delete(actor: Actor, thing: Thing) -> None:
    """Deletes the row, and writes that it was removed. Raises ProtectedError while history refers to it."""
    if isinstance(thing, Project):
        _delete_row(actor, thing, verb="project.removed")
    elif isinstance(thing, Environment):
        _delete_row(actor, thing, verb="environment.removed")
    elif isinstance(thing, Image):
        _delete_row(actor, thing, verb="image.removed")
    elif isinstance(thing, Cluster):
        _delete_row(actor, thing, verb="cluster.removed")
    else:
        _delete_row(actor, thing, verb="registry.removed")


def _event(actor: Actor, thing: Thing, verb: str) -> None:
    editing.note(actor, thing, verb=verb, text=text_of(thing), project=_slug(thing), data={})


def _delete_row(actor: Actor, thing: Thing, verb: str) -> None:
    editing.remove(actor, thing, verb=verb, text=text_of(thing), project=_slug(thing))


def _slug(thing: Thing) -> str:
    project = project_of(thing)
    return project.slug if project else ""
