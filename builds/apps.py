from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        from builds import announcing, status
        from core import status as page
        from notify.github import register_token

        page.register(rows=status.rows, samples=status.samples)
        register_token(announcing.own_token)
