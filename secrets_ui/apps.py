from django.apps import AppConfig


class SecretsUiConfig(AppConfig):
    """Editing, comparing and versions of secrets files. What it keeps holds no value in clear."""

    name = "secrets_ui"

    def ready(self) -> None:
        from audit import targets
        from secrets_ui import audit_targets

        targets.show("secrets", audit_targets.secrets)
