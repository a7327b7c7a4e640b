"""`manage.py clusterrights`: prints the YAML of the account that the portal needs on a cluster."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from projects.cluster_account import account_yaml, kubeconfig_script


class Command(BaseCommand):
    """Prints the account's YAML; with `--kubeconfig` the shell script that prints its kubeconfig."""

    help = "Print the ServiceAccount, its token and its rights, for `kubectl apply -f -`."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--kubeconfig", action="store_true",
            help="print the shell script that prints the account's kubeconfig: manage.py clusterrights --kubeconfig | sh",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(kubeconfig_script() if options["kubeconfig"] else account_yaml(), ending="")
