from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        from audit import targets
        from builds.pages import audit_targets

        targets.show("build", audit_targets.build)
