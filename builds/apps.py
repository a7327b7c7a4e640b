from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        from audit import targets
        from builds import status
        from builds.pages import audit_targets
        from core import status as page

        targets.show("build", audit_targets.build)
        page.register(rows=status.rows, samples=status.samples)
