from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The pages that span everything."""

    name = "portal"
