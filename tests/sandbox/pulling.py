"""A namespace with a valid pull secret, for tests of the played nodes, which have no portal."""

from __future__ import annotations

import base64
from pathlib import Path

from sandbox.aws.images import docker_config, ecr_call
from sandbox.cluster.api import Api
from sandbox.samples import REGISTRY


def give_pull_secret(kubeconfig: Path, aws: str, namespace: str) -> None:
    """Makes the namespace, if it is missing, and puts a new token of the registry at `aws` into its pull secret."""
    api = Api.from_kubeconfig(kubeconfig, user_agent="tests")
    entry = ecr_call(aws, "GetAuthorizationToken", {})["authorizationData"][0]
    config = docker_config(aws, entry["authorizationToken"])
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": REGISTRY.pull_secret, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }
    api.apply(f"/api/v1/namespaces/{namespace}", home, manager="tests")
    api.apply(f"/api/v1/namespaces/{namespace}/secrets/{REGISTRY.pull_secret}", secret, manager="tests")
