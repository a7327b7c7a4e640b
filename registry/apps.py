from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """The pull credentials: image pull secrets of every namespace, kept valid, proven and audited."""

    name = "registry"

    def ready(self) -> None:
        from audit import targets
        from core import leaving as all_leaving
        from core import status
        from registry import ending, leaving
        from registry.pages import links

        targets.show("pull_credential", links.page_of_event)
        all_leaving.register(is_open=leaving.is_open, left=leaving.left_outside)
        status.register(rows=ending.rows, notices=ending.notices, samples=ending.samples)
