from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """The pull credentials: image pull secrets of every namespace, kept valid, proven and audited."""

    name = "registry"

    def ready(self) -> None:
        from audit import targets

        targets.have_no_page("pull_credential")
