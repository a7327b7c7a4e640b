"""From rows of the database to adapters: the one place where stored credentials are decrypted and handed over.

Nothing here talks to the outside; the adapter that comes back does. What it raises is `adapters.errors.ExternalError`
(a stored credential that no key decrypts raises `core.fields.CannotDecrypt` when the row is loaded).
"""

from __future__ import annotations

from django.conf import settings

from adapters.aws.ecr import Ecr
from adapters.aws.secrets_manager import SecretsManager
from adapters.aws.secrets_writer import SecretsWriter
from adapters.aws.session import HASTY, PATIENT
from adapters.git.repository import GitCredential, GitRepository
from adapters.kubernetes.client import KubernetesClient
from adapters.kubernetes.limits import RetryPolicy
from projects.models import Cluster, Project, Registry, SecretsFile

HASTY_SECONDS = 8.0


def user_agent(purpose: str = "") -> str:
    """What the cluster's own audit log shows of us, e.g. `slipway/0.1.0 (deploy 1847)`."""
    return f"slipway/{settings.VERSION} ({purpose})" if purpose else f"slipway/{settings.VERSION}"


def cluster_client(cluster: Cluster, *, purpose: str = "") -> KubernetesClient:
    """A client of the cluster; close it. `purpose` goes into the user agent. Raises Invalid for a bad kubeconfig."""
    return KubernetesClient.from_kubeconfig(cluster.kubeconfig, user_agent=user_agent(purpose))


def hasty_client(cluster: Cluster, *, purpose: str = "") -> KubernetesClient:
    """The same for reads that somebody, or a whole queue, waits for: a cluster that is slow or gone is told soon."""
    return KubernetesClient.from_kubeconfig(
        cluster.kubeconfig,
        user_agent=user_agent(purpose),
        retry=RetryPolicy(attempts=2, budget=HASTY_SECONDS),
        timeout=HASTY_SECONDS,
    )


def git_credential(kind: str, secret: str) -> GitCredential | None:
    """The credential as Git's adapter takes it; None for a public repository. Raises Invalid for a key that is none."""
    if kind == Project.Credential.TOKEN:
        return GitCredential(token=secret)
    if kind == Project.Credential.SSH_KEY:
        return GitCredential(private_key=secret)
    return None


def git_repository(project: Project) -> GitRepository:
    """The project's repository behind its mirror in DATA_DIR. Raises Invalid for an address that is not allowed."""
    return GitRepository(
        project.repository_url,
        mirror=settings.GIT_MIRRORS,
        credential=git_credential(project.credential_kind, project.credential),
        protocols=settings.GIT_PROTOCOLS,
    )


def secrets_manager(secrets_file: SecretsFile, *, hasty: bool = False) -> SecretsManager:
    """Secrets Manager in the file's region, by its role. The endpoint is boto3's own (`AWS_ENDPOINT_URL`). `hasty`: somebody
    waits for a page; an AWS that is slow or gone is told soon."""
    return SecretsManager(
        secrets_file.region, role_arn=secrets_file.role_arn, limits=HASTY if hasty else PATIENT
    )


def secrets_writer(secrets_file: SecretsFile, *, hasty: bool = False) -> SecretsWriter:
    """The same, able to write."""
    return SecretsWriter(
        secrets_file.region, role_arn=secrets_file.role_arn, limits=HASTY if hasty else PATIENT
    )


def ecr(registry: Registry, *, hasty: bool = False) -> Ecr:
    """The registry's API in its region and account, by its role. `hasty`: as above."""
    return Ecr(
        registry.region, registry.account, role_arn=registry.role_arn, limits=HASTY if hasty else PATIENT
    )
