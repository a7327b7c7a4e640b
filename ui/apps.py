"""The Django app `ui`: template tags, icons, the looks of states, words for times and counts."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """Registers the template tags. It has no models."""

    name = "ui"
