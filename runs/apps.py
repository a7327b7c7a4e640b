from django.apps import AppConfig


class RunsConfig(AppConfig):
    """The parts that all kinds of run share: state, steps, log, heartbeat, live log, life cycle."""

    name = "runs"
