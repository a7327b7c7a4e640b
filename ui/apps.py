"""The app of what every page needs: template tags, icons, the looks of states, words for times and counts."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """Has no models; it brings the template tags."""

    name = "ui"
