from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Releases, deploys, the gate, the pipeline, history."""

    name = "deployments"

    def ready(self) -> None:
        from audit import targets
        from deployments.pages import audit_targets

        targets.show("deploy", audit_targets.deploy)
        targets.show("environment", audit_targets.environment)
        targets.have_no_page("history")
