from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Audit events: writing them, reading them."""

    name = "audit"

    def ready(self) -> None:
        from audit import targets

        targets.have_no_page("audit")
