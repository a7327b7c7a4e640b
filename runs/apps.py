from django.apps import AppConfig


class RunsConfig(AppConfig):
    """What a build and a deploy share: state, steps, log, heartbeat, live log."""

    name = "runs"
