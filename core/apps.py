"""The app of things that every other app needs from Django's side."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers the system checks."""

    name = "core"

    def ready(self) -> None:
        from core import checks  # noqa: F401  (registers itself)
