from django.apps import AppConfig


class SecretsUiConfig(AppConfig):
    """Editing, comparing and versions of secrets files. What it keeps holds no value in clear."""

    name = "secrets_ui"

    def ready(self) -> None:
        from audit import targets
        from core import leaving as all_leaving
        from secrets_ui import audit_targets, leaving

        targets.show("secrets", audit_targets.secrets)
        all_leaving.register(is_open=leaving.is_open, refers=leaving.refers)
