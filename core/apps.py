"""The Django app `core`: system checks, management commands and the lease table."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers the system checks."""

    name = "core"

    def ready(self) -> None:
        from core import checks  # noqa: F401  (registers itself)
