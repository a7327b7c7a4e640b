from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Releases, deploys, the gate, the pipeline, history."""

    name = "deployments"

    def ready(self) -> None:
        from audit import targets
        from core import leaving as all_leaving
        from deployments import leaving
        from deployments.pages import audit_targets
        from deployments.queries import released_images
        from registry import in_use

        targets.show("deploy", audit_targets.deploy)
        targets.show("environment", audit_targets.environment)
        targets.have_no_page("history")
        in_use.register(released_images)
        all_leaving.register(is_open=leaving.is_open, refers=leaving.refers, left=leaving.left_outside)
