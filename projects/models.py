"""Projects, their environments, and the infrastructure. Invariants are constraints of the database.

Every row that a form edits carries `edited`, a counter for detecting a concurrent edit (core/errors.Stale).
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import Q

from core.fields import EncryptedTextField
from core.slugs import SlugField, slug_is_well_formed, word_is_not_new
from engine.manifests.settling import Settling
from projects.current import Archivable, ArchivableOfProject, Current, CurrentOfProject
from projects.validators import NAMESPACE, REGION, RELATIVE_PATH, REPOSITORY, ROLE_ARN


class Role(models.TextChoices):
    """Roles in a project or environment. Each includes the rights of the roles before it."""

    VIEWER = "viewer", "Viewer"
    DEPLOYER = "deployer", "Deployer"
    MAINTAINER = "maintainer", "Maintainer"

    @property
    def rank(self) -> int:
        """The order of roles: a role covers every role of lower rank."""
        return list(Role).index(self)


class Cluster(Archivable):
    """A Kubernetes API server and the credentials for it. Every page that shows the cluster shows its `notice`."""

    slug = SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    kubeconfig = EncryptedTextField()
    notice = models.CharField(max_length=200, blank=True)
    last_seen = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    version = models.CharField(max_length=50, blank=True)
    edited = models.PositiveIntegerField(default=0)

    objects = Current.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Registry(Archivable):
    """A registry of images. `endpoint` is a URL; its host is the host in image references."""

    class Kind(models.TextChoices):
        ECR = "ecr", "Amazon ECR"

    slug = SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.ECR)
    endpoint = models.URLField(max_length=300, unique=True)
    account = models.CharField(
        max_length=12, validators=[RegexValidator(r"\A\d{12}\Z", "An AWS account has twelve digits.")]
    )
    region = models.CharField(max_length=30, default="eu-west-2", validators=[REGION])
    role_arn = models.CharField("role to assume", max_length=200, blank=True, validators=[ROLE_ARN])
    edited = models.PositiveIntegerField(default=0)

    objects = Current.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "registries"

    def __str__(self) -> str:
        return self.name

    @property
    def host(self) -> str:
        """Host and port of the endpoint: the beginning of image references."""
        return urlsplit(self.endpoint).netloc


class Project(Archivable):
    """A repository whose revisions are deployed."""

    class Credential(models.TextChoices):
        NONE = "", "None (public)"
        TOKEN = "token", "Access token (HTTPS)"
        SSH_KEY = "ssh", "Deploy key (SSH)"

    slug = SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=100)
    repository_url = models.CharField(max_length=300)
    default_branch = models.CharField(max_length=200, default="main")
    credential_kind = models.CharField(max_length=10, choices=Credential, blank=True, default="")
    credential = EncryptedTextField(blank=True, default="")
    slack_channel = models.CharField(max_length=100, blank=True)
    group = models.CharField(
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text="Projects of one group can be shown together.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    edited = models.PositiveIntegerField(default=0)

    objects = Current.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Image(ArchivableOfProject):
    """A Dockerfile of a project and the repository of its image."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=40, validators=[slug_is_well_formed, word_is_not_new])
    dockerfile = models.CharField(max_length=200, default="Dockerfile", validators=[RELATIVE_PATH])
    context = models.CharField(max_length=200, default=".", blank=True)
    registry = models.ForeignKey(Registry, on_delete=models.PROTECT, related_name="images")
    repository = models.CharField(max_length=256, validators=[REPOSITORY])
    edited = models.PositiveIntegerField(default=0)

    objects = CurrentOfProject.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="image_name_once_per_project")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def reference(self) -> str:
        """Host and repository without a tag, as in manifests before the colon."""
        return f"{self.registry.host}/{self.repository}"


WATCH_SECONDS = 900  # default of the policy `watch_seconds`
LONGEST_WATCH = 86_400


def default_secret_rights() -> dict[str, str]:
    """The default of `Environment.secret_rights`: right → weakest role that has it."""
    return {"names": "viewer", "reveal": "maintainer", "edit": "maintainer", "approve": "maintainer"}


class Environment(ArchivableOfProject):
    """A place where a project runs: a namespace of a cluster, a config directory, variables and policies.

    `variables`: list of {name, value, type}, type one of string, number, boolean. `secret_rights`: right → role.
    `policies`: switches and numbers by name; an absent switch is off, an absent number has its default.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="environments")
    slug = SlugField(max_length=20)
    name = models.CharField(max_length=50)
    order = models.PositiveSmallIntegerField(default=10, validators=[MaxValueValidator(999)])
    is_production = models.BooleanField("production", default=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="environments")
    namespace = models.CharField(max_length=63, validators=[NAMESPACE])
    config_directory = models.CharField(max_length=200, validators=[RELATIVE_PATH])
    variables = models.JSONField(default=list, blank=True)
    slack_channel = models.CharField(max_length=100, blank=True)
    pull_secret = models.CharField(
        max_length=253,
        blank=True,
        help_text="Name of the pull secret that this namespace's workloads use; empty: not checked.",
    )
    placeholders_stop = models.BooleanField(
        "placeholder secrets stop a deploy", default=False, help_text="Otherwise they are a warning."
    )
    deploy_timeout = models.PositiveIntegerField(
        "time limit (seconds)", default=1200, validators=[MaxValueValidator(14_400)]
    )
    secret_rights = models.JSONField(default=default_secret_rights, blank=True)
    policies = models.JSONField(default=dict, blank=True)
    edited = models.PositiveIntegerField(default=0)

    objects = CurrentOfProject.as_manager()

    class Meta:
        ordering = ["project_id", "order", "slug"]
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="environment_slug_once_per_project")
        ]
        indexes = [models.Index(fields=["cluster", "namespace"], name="environment_namespace")]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """The value of the label `slipway.dev/environment` on every applied object."""
        return f"{self.project.slug}.{self.slug}"

    @property
    def place(self) -> str:
        """Cluster and namespace of its releases."""
        return f"{self.cluster.slug}/{self.namespace}"

    @property
    def rolls_back_by_itself(self) -> bool:
        """Whether a rollback to the last good release follows a failed rollout (deployments/gate/undoing.py)."""
        return bool(self.policies.get("automatic_rollback"))

    @property
    def settling(self) -> Settling:
        """How long containers without a readiness probe are watched, and whether old pods are kept meanwhile."""
        seconds = self.policies.get("settle_seconds", Settling.seconds)
        return Settling(float(seconds), keeps_old_pods=not self.policies.get("no_min_ready"))

    @property
    def asks_for_secrets(self) -> bool:
        """A change of its secrets waits until another person has approved it (secrets_ui/editing/asking.py)."""
        return bool(self.policies.get("secret_requests"))

    @property
    def watch_seconds(self) -> int:
        """For how long after a deploy a workload that turns bad is told with that deploy; 0 is off."""
        return int(self.policies.get("watch_seconds", WATCH_SECONDS))

    @property
    def auto_deploy(self) -> str:
        """The branches whose green builds are deployed by themselves, as a pattern (deployments/gate/automatic.py); or empty."""
        return str(self.policies.get("auto_deploy") or "")

    @property
    def auto_deploy_since(self) -> datetime | None:
        """Since when that rule is in force."""
        since = self.policies.get("auto_deploy_since")
        return datetime.fromisoformat(since) if since else None

    @property
    def channel(self) -> str:
        """The Slack channel: the environment's own, else the project's."""
        return self.slack_channel or self.project.slack_channel


class SecretsFile(models.Model):
    """A blank Secret file of the repository and the secret of AWS Secrets Manager that is its populated version."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="secrets_files")
    path = models.CharField(
        max_length=200,
        validators=[RELATIVE_PATH],
        help_text="Relative to the config directory, e.g. secret.yaml.",
    )
    secret_id = models.CharField(
        "AWS secret", max_length=512, help_text="Name or ARN in AWS Secrets Manager."
    )
    region = models.CharField(max_length=30, default="eu-west-2", validators=[REGION])
    role_arn = models.CharField("role to assume", max_length=200, blank=True, validators=[ROLE_ARN])
    edited = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["environment", "path"], name="secrets_file_path_once")]

    def __str__(self) -> str:
        return self.path


class Allotment(models.Model):
    """One thing outside the portal that a project (or one environment of it) may use. Only admins make or withdraw it.

    `pattern`: a name in which `*` stands for any text. `cluster` belongs to `namespace`, `registry` to `repository`;
    `environment` to `objects_in` and `objects_of`.
    """

    class Kind(models.TextChoices):
        NAMESPACE = "namespace", "Namespace"
        SECRET = "secret", "AWS secret"
        ROLE = "role", "Role to assume"
        REPOSITORY = "repository", "Repository of images"
        GIT = "git", "Git address for the stored credential"
        OBJECTS_IN = "objects_in", "Objects in another namespace"
        OBJECTS_OF = "objects_of", "Objects without a namespace"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="allotments")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, null=True, blank=True, related_name="allotments"
    )
    kind = models.CharField(max_length=20, choices=Kind)
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True)
    registry = models.ForeignKey(Registry, on_delete=models.CASCADE, null=True, blank=True)
    pattern = models.CharField(max_length=512)

    class Meta:
        ordering = ["kind", "pattern", "project_id"]
        indexes = [models.Index(fields=["kind", "project"], name="allotment_kind")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pattern}"


class Membership(models.Model):
    """A person's role on a whole project (`environment` empty) or on one environment of it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    environment = models.ForeignKey(
        Environment, on_delete=models.CASCADE, related_name="memberships", null=True, blank=True
    )
    role = models.CharField(max_length=20, choices=Role)

    class Meta:
        ordering = ["user__username"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "project"], condition=Q(environment=None), name="one_role_per_project"
            ),
            models.UniqueConstraint(fields=["user", "environment"], name="one_role_per_environment"),
            models.CheckConstraint(
                condition=Q(role__in=["viewer", "deployer", "maintainer"]), name="membership_role_known"
            ),
        ]
