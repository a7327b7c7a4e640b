"""Archived rows: hidden from lists, acted on by nobody, kept with their history, and restored at will.

An archived row stays in its table, so that history and the short name stay. Every list and every tick asks for the `current()`
rows. What belongs to an archived project is archived with it.
"""

from __future__ import annotations

from typing import TypeVar

from django.db import models

Row = TypeVar("Row", bound=models.Model)
NOT_ARCHIVED = models.Q(archived_at=None)


def current_environments(path: str = "environment") -> models.Q:
    """The condition for rows that belong to a current environment of a current project. `path`: leads to the environment."""
    return models.Q(**{f"{path}__archived_at": None, f"{path}__project__archived_at": None})


class Current(models.QuerySet[Row]):
    """Projects, clusters or registries."""

    def current(self) -> Current[Row]:
        """Those that are not archived."""
        return self.filter(NOT_ARCHIVED)

    def archived(self) -> Current[Row]:
        """Those that are archived."""
        return self.exclude(NOT_ARCHIVED)


class CurrentOfProject(models.QuerySet[Row]):
    """Environments or images."""

    def current(self) -> CurrentOfProject[Row]:
        """Those that are not archived, of projects that are not archived."""
        return self.filter(NOT_ARCHIVED, project__archived_at=None)

    def archived(self) -> CurrentOfProject[Row]:
        """Those that are archived by themselves, whatever their project is."""
        return self.exclude(NOT_ARCHIVED)


class Archivable(models.Model):
    """A row that can be archived. `archived_by`: the name of the person, as text."""

    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)

    class Meta:
        abstract = True


class ArchivableOfProject(Archivable):
    """A row of a project; it is archived with its project, too."""

    project: models.ForeignKey

    class Meta:
        abstract = True

    @property
    def is_archived(self) -> bool:
        """Whether the row or its project is archived."""
        return bool(self.archived_at or self.project.archived_at)
