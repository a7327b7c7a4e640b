from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        """Tells where projects keep their tokens for GitHub."""
        from builds.announcing import own_token
        from notify.github import register_token

        register_token(own_token)
