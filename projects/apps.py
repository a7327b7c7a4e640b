from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Projects, environments, clusters, registries, images, secrets files, memberships; who may do what."""

    name = "projects"
