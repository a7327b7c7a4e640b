from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """Projects, environments, clusters, registries, images, secrets files, memberships; who may do what."""

    name = "projects"

    def ready(self) -> None:
        from audit import targets
        from people import roles
        from projects.roles import held_by

        roles.register(held_by)
        # Their pages are for maintainers and admins; an auditor reads about them here.
        targets.have_no_page("cluster", "registry", "image", "secrets_file", "membership")
