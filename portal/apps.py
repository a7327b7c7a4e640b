from django.apps import AppConfig, apps
from django.conf import settings
from django.db.models.signals import pre_migrate


class PortalConfig(AppConfig):
    """The Django app with the pages that span several apps."""

    name = "portal"

    def ready(self) -> None:
        from audit import targets
        from portal import audit_targets
        from portal.database import keep_private, patient_migrations

        keep_private(settings.DATA_DIR, settings.DATABASES["default"])
        # Sent for apps with models.
        pre_migrate.connect(patient_migrations, sender=apps.get_app_config("core"))
        targets.show("project", audit_targets.project)
