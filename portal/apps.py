from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The Django app with the pages that span several apps."""

    name = "portal"

    def ready(self) -> None:
        from audit import targets
        from portal import audit_targets

        targets.show("project", audit_targets.project)
