from django.apps import AppConfig


class NotifyConfig(AppConfig):
    """The outbox and the texts of its messages."""

    name = "notify"
