from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"
