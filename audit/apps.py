from django.apps import AppConfig


class AuditConfig(AppConfig):
    """The Django app for writing and reading audit events."""

    name = "audit"

    def ready(self) -> None:
        from audit import targets

        targets.have_no_page("audit", "page")
