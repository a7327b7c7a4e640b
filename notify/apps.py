from django.apps import AppConfig


class NotifyConfig(AppConfig):
    """The outbox and what it sends."""

    name = "notify"
