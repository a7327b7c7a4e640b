from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    """The Django app of projects, environments, clusters, registries, images, secrets files, memberships and rights."""

    name = "projects"

    def ready(self) -> None:
        from audit import targets
        from core import leaving
        from people import roles
        from projects.leaving import uses
        from projects.roles import held_by

        roles.register(held_by)
        leaving.register(is_open=uses.is_open, left=uses.left_outside)
        # Only maintainers and admins may open the pages of these; an auditor reads about them in the audit.
        targets.have_no_page("cluster", "registry", "image", "secrets_file", "membership", "allotment")
