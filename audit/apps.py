from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Audit events: writing them, reading them."""

    name = "audit"
