from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Releases, deploys, the gate, the pipeline, history."""

    name = "deployments"
