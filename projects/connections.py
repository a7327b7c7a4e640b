"""Makes adapters from rows of the database. Only this module passes stored credentials on.

No function here makes a request; the returned adapter does. Errors are `adapters.errors.ExternalError`, and
`core.fields.CannotDecrypt` for a stored credential that no key decrypts.
"""

from __future__ import annotations

from django.conf import settings

from adapters.aws.ecr import Ecr
from adapters.aws.ecr_images import EcrImages
from adapters.aws.ecr_repositories import EcrRepositories
from adapters.aws.secrets_manager import SecretsManager
from adapters.aws.secrets_writer import SecretsWriter
from adapters.aws.session import HASTY, PATIENT
from adapters.git.repository import FETCH_TIMEOUT, GitCredential, GitRepository
from adapters.kubernetes.client import KubernetesClient
from adapters.kubernetes.limits import RetryPolicy
from core.fields import Sealed
from projects.allotting.using import require_still
from projects.allotting.wishes import of_project
from projects.models import Cluster, Project, Registry, SecretsFile

HASTY_SECONDS = 8.0
WAITING_SECONDS = 10.0  # that a person's request waits for Git


def user_agent(purpose: str = "") -> str:
    """The user agent for the cluster's audit log, e.g. `slipway/0.1.0 (deploy 1847)`."""
    return f"slipway/{settings.VERSION} ({purpose})" if purpose else f"slipway/{settings.VERSION}"


def cluster_client(cluster: Cluster, *, purpose: str = "") -> KubernetesClient:
    """A client of the cluster; the caller closes it. `purpose` goes into the user agent. Raises Invalid for a bad
    kubeconfig, CannotDecrypt."""
    return KubernetesClient.from_kubeconfig(cluster.kubeconfig.open(), user_agent=user_agent(purpose))


def hasty_client(cluster: Cluster, *, purpose: str = "") -> KubernetesClient:
    """Like `cluster_client`, with short timeouts: for reads that a page or a whole queue waits for."""
    return KubernetesClient.from_kubeconfig(
        cluster.kubeconfig.open(),
        user_agent=user_agent(purpose),
        retry=RetryPolicy(attempts=2, budget=HASTY_SECONDS),
        timeout=HASTY_SECONDS,
    )


def git_credential(kind: str, secret: Sealed) -> GitCredential | None:
    """The credential for Git's adapter; None for a public repository. Raises Invalid for an unusable key,
    CannotDecrypt."""
    if kind == Project.Credential.TOKEN:
        return GitCredential(token=secret.open())
    if kind == Project.Credential.SSH_KEY:
        return GitCredential(private_key=secret.open())
    return None


def git_repository(project: Project, *, patience: float = FETCH_TIMEOUT) -> GitRepository:
    """The project's repository behind its mirror in DATA_DIR. `patience`: the most seconds for a fetch. Raises Invalid for an
    address that is not allowed, NotAllotted when the stored credential may not be sent there any more."""
    require_still(project, of_project(project))
    return repository_of(project, patience=patience)


def repository_of(project: Project, *, patience: float = FETCH_TIMEOUT) -> GitRepository:
    """The same without a look at allotments: for settings that are being entered, and for tidying the mirror. Raises Invalid."""
    return GitRepository(
        project.repository_url,
        mirror=settings.GIT_MIRRORS,
        credential=git_credential(project.credential_kind, project.credential),
        protocols=settings.GIT_PROTOCOLS,
        limit=settings.GIT_MIRRORS_GB * 1_000_000_000,
        patience=patience,
        networks=settings.GIT_PRIVATE_NETWORKS,
    )


def quick_repository(project: Project) -> GitRepository:
    """The same for a request of a person, who waits. The scheduler's fetches make the first copy of a large repository."""
    return git_repository(project, patience=WAITING_SECONDS)


def secrets_manager(secrets_file: SecretsFile, *, hasty: bool = False) -> SecretsManager:
    """Secrets Manager in the file's region, with its role. boto3 reads the endpoint (`AWS_ENDPOINT_URL`). `hasty`: short
    timeouts, because a page waits."""
    return SecretsManager(
        secrets_file.region, role_arn=secrets_file.role_arn, limits=HASTY if hasty else PATIENT
    )


def secrets_manager_at(region: str, role_arn: str) -> SecretsManager:
    """Secrets Manager in a region, with a role (empty: the portal's own), for secrets that no environment names."""
    return SecretsManager(region, role_arn=role_arn, limits=PATIENT)


def secrets_writer(secrets_file: SecretsFile, *, hasty: bool = False) -> SecretsWriter:
    """The same, able to write."""
    return SecretsWriter(
        secrets_file.region, role_arn=secrets_file.role_arn, limits=HASTY if hasty else PATIENT
    )


def ecr(registry: Registry, *, hasty: bool = False) -> Ecr:
    """The registry's API in its region and account, with its role. `hasty`: short timeouts, because a page waits."""
    return Ecr(
        registry.region, registry.account, role_arn=registry.role_arn, limits=HASTY if hasty else PATIENT
    )


def ecr_images(registry: Registry) -> EcrImages:
    """The listing of the registry's images and scans, for pages: with short timeouts."""
    return EcrImages(registry.region, registry.account, role_arn=registry.role_arn)


def ecr_repositories(registry: Registry) -> EcrRepositories:
    """The registry's repositories, able to create one and to give images tags."""
    return EcrRepositories(registry.region, registry.account, role_arn=registry.role_arn)
