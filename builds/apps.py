from django.apps import AppConfig


class BuildsConfig(AppConfig):
    """Builds: pushes become images in the registry."""

    name = "builds"

    def ready(self) -> None:
        from audit import targets
        from builds import announcing, leaving, links, status
        from builds.pages import audit_targets
        from core import leaving as all_leaving
        from core import status as page
        from notify.github import register_token
        from projects.allotting import uses

        targets.show("build_settings", links.settings_of_event)
        targets.show("build_recipe", links.settings_of_event)
        targets.show("build_secret", links.settings_of_event)
        targets.show("delivery", links.deliveries_of_event)
        uses.register(links.uses)
        targets.show("build", audit_targets.build)
        page.register(rows=status.rows, samples=status.samples)
        register_token(announcing.own_token)
        all_leaving.register(is_open=leaving.is_open, refers=leaving.refers)
