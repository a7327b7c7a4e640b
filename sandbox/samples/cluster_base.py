"""Cluster base: resource definitions, namespaces, ingress class and controller. No admission webhooks:
nothing answers them in a sandbox.
"""

from __future__ import annotations

from sandbox.samples.model import Change, Edit, Environment, MirroredImage, SampleProject, Variable
from sandbox.samples.people import LENA, ROBIN

_DIRECTORY = "kubernetes/cluster"

_MAIN = (
    Change(LENA, 2900, "Namespaces of the base", add=("README.md", f"{_DIRECTORY}/namespaces.yaml")),
    Change(
        LENA,
        2874,
        "Ingress controller and its load balancer",
        add=(f"{_DIRECTORY}/ingress-class.yaml", f"{_DIRECTORY}/controller.yaml"),
    ),
    Change(ROBIN, 2780, "Certificates and their issuers", add=(f"{_DIRECTORY}/cert-manager-crds.yaml",)),
    Change(ROBIN, 2772, "Let's Encrypt issues for every ingress", add=(f"{_DIRECTORY}/issuer.yaml",)),
    Change(
        LENA,
        330,
        "Accept larger uploads",
        edits=(Edit(f"{_DIRECTORY}/controller.yaml", "proxy-body-size: 8m", "proxy-body-size: 16m"),),
    ),
)

# Nobody has copied this version of the upstream image to the registry, so that this revision cannot be deployed.
_WRONG_TAG = (
    Change(
        ROBIN,
        1.2,
        "Ingress controller 1.12.1",
        edits=(
            Edit(
                f"{_DIRECTORY}/controller.yaml",
                "ingress-nginx-controller:v1.12.0",
                "ingress-nginx-controller:v1.12.1",
            ),
        ),
    ),
)

CLUSTER_BASE = SampleProject(
    slug="cluster-base",
    name="Cluster base",
    description="What every project relies on: ingress controller, certificates, namespaces.",
    files="cluster-base",
    slack_channel="#cluster",
    main=_MAIN,
    wrong_tag=_WRONG_TAG,
    mirrored=(
        MirroredImage(
            repository="mirror/ingress-nginx-controller",
            tag="v1.12.0",
            behaviour="ready",
            log="NGINX Ingress controller\n  Release: v1.12.0\nStarting NGINX Ingress controller\n"
            "Creating API client for https://10.96.0.1:443\nsuccessfully acquired lease ingress-nginx-leader",
        ),
    ),
    environments=(
        Environment(
            slug="cluster",
            name="Cluster",
            order=1,
            production=True,
            namespace="ingress-nginx",
            config_directory=_DIRECTORY,
            variables=(
                Variable("CONTROLLER_REPLICAS", "2", "number"),
                Variable("ACME_EMAIL", "ops@example.com"),
            ),
            seeded=("main",),
            cluster_wide=(
                "Namespace/ingress-nginx",
                "Namespace/cert-manager",
                "ClusterRole.rbac.authorization.k8s.io/ingress-nginx",
                "ClusterRoleBinding.rbac.authorization.k8s.io/ingress-nginx",
                "IngressClass.networking.k8s.io",
                "CustomResourceDefinition.apiextensions.k8s.io",
                "ClusterIssuer.cert-manager.io",
            ),
        ),
    ),
)
