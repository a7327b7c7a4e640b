"""The stored build settings of a project."""

from __future__ import annotations

from builds.models import BuildSettings


def build_settings(project_id: int) -> BuildSettings:
    """The project's build settings; the defaults, not stored, where it has none."""
    found = BuildSettings.objects.filter(project_id=project_id).first()
    return found or BuildSettings(project_id=project_id)
