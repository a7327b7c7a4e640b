from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        from builds import status
        from core import status as page

        page.register(rows=status.rows, samples=status.samples)
