from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Releases, deploys, the gate, the pipeline, history."""

    name = "deployments"

    def ready(self) -> None:
        from audit import targets
        from deployments.pages import audit_targets
        from deployments.queries import released_images
        from registry import in_use

        targets.show("deploy", audit_targets.deploy)
        targets.show("environment", audit_targets.environment)
        targets.have_no_page("history")
        in_use.register(released_images)
