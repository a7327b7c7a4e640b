from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """The pull credentials: image pull secrets of every namespace, kept valid, proven and audited."""

    name = "registry"

    def ready(self) -> None:
        from audit import targets
        from core import status
        from registry import ending
        from registry.pages import links

        targets.show("pull_credential", links.page_of_event)
        status.register(rows=ending.rows, notices=ending.notices, samples=ending.samples)
