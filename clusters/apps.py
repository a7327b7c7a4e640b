from django.apps import AppConfig


class ClustersConfig(AppConfig):
    """What runs: read from the clusters by a tick, kept here, shown with its age."""

    name = "clusters"
