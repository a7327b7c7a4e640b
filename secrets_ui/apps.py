from django.apps import AppConfig


class SecretsUiConfig(AppConfig):
    """Editing, comparing and versions of secrets files. What it keeps holds no value in clear."""

    name = "secrets_ui"
