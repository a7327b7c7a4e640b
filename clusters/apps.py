from django.apps import AppConfig


class ClustersConfig(AppConfig):
    """The live state of environments: a tick reads it from the clusters, pages show it with its age."""

    name = "clusters"
