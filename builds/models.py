"""Push deliveries, rules of builds, builds and their images.

A build is a run (`runs/models.py`): the images of one revision of a project. The settings, recipes and secrets say how a
project builds; a build keeps a copy of each recipe, so that its page tells what was done.
"""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from builds.pushes import BRANCH, TAG
from core.fields import EncryptedTextField
from projects.models import Image, Project, Registry
from runs.models import OPEN, Counter, Run


class BuildSettings(models.Model):
    """When and how a project builds. A project without this row builds only what a person asks for.

    `on_push`: whether pushes lead to builds. `branches`, `tags`: patterns with `*`; no branch pattern means the default
    branch. `watch`, `ignore`: patterns of paths; a push builds when a changed path fits `watch` (all, when empty) and not
    `ignore`. `timeout`: seconds a build may take; `at_once`: builds of the project that may run together; `side_by_side`:
    images of a build that are built together. `creates_repositories`: a repository that ECR lacks is created, with
    `lifecycle_policy` (JSON of ECR; none when empty). `webhook_secret`, `github_token`: the project's own; the site's when
    empty.
    """

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="build_settings")
    on_push = models.BooleanField("build every push", default=False)
    branches = models.JSONField(default=list, blank=True)
    tags = models.JSONField(default=list, blank=True)
    watch = models.JSONField(default=list, blank=True)
    ignore = models.JSONField(default=list, blank=True)
    timeout = models.PositiveIntegerField(
        "time limit (seconds)", default=1800, validators=[MinValueValidator(30), MaxValueValidator(14_400)]
    )
    at_once = models.PositiveSmallIntegerField(
        "builds at once", default=1, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    side_by_side = models.PositiveSmallIntegerField(
        "images side by side", default=2, validators=[MinValueValidator(1), MaxValueValidator(8)]
    )
    creates_repositories = models.BooleanField("create missing repositories", default=False)
    lifecycle_policy = models.TextField(blank=True, default="")
    webhook_secret = EncryptedTextField(blank=True, default="")
    github_token = EncryptedTextField(blank=True, default="")
    edited = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"builds of {self.project}"


class Recipe(models.Model):
    """How an image is built, beyond its Dockerfile and context. `arguments`: list of {name, value}, none of them secret.

    An image without this row is built with the defaults. `is_built`: False for an image that is built elsewhere.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="recipe")
    target = models.CharField("target stage", max_length=100, blank=True)
    platform = models.CharField(max_length=50, blank=True)
    arguments = models.JSONField(default=list, blank=True)
    is_built = models.BooleanField("built here", default=True)
    edited = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"recipe of {self.image}"


class BuildSecret(models.Model):
    """A value of AWS Secrets Manager that Dockerfiles mount with `RUN --mount=type=secret,id=<name>`. Never kept here.

    `key`: the key of a flat JSON object, or `<secret name>/<key>` of a Secret file; empty: the whole text.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="build_secrets")
    name = models.CharField("id of the mount", max_length=100)
    secret_id = models.CharField("AWS secret", max_length=512)
    key = models.CharField(max_length=300, blank=True)
    region = models.CharField(max_length=30, default="eu-west-2")
    role_arn = models.CharField("role to assume", max_length=200, blank=True)
    edited = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="build_secret_once")]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One delivery of GitHub's webhook, taken once by its id.

    `facts`: what decisions need of the body (ref, commits' paths, the sender), nothing else. `addresses`: the repository's
    addresses as GitHub writes them. `signers`: primary keys of the projects whose own secret signed it, also of those that
    are gone; empty for the site's secret. `repeats`: how often the same delivery came again. `sentence`: what followed, where no
    project's decision says it.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        DECIDED = "decided"
        REFUSED = "refused"
        FAILED = "failed"

    delivery_id = models.CharField(max_length=64, unique=True)
    event = models.CharField(max_length=50)
    repository = models.CharField(max_length=300, blank=True)
    addresses = models.JSONField(default=list)
    ref = models.CharField(max_length=300, blank=True)
    before = models.CharField(max_length=40, blank=True)
    after = models.CharField(max_length=40, blank=True)
    sender = models.CharField(max_length=150, blank=True)
    facts = models.JSONField(default=dict)
    signed_by = models.ForeignKey(
        Project, on_delete=models.SET_NULL, null=True, blank=True, related_name="+",
        help_text="The project that it was seen for in Git, or the first one whose own secret signed it.",
    )  # fmt: skip
    signers = models.JSONField(default=list, db_default=[])
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    sentence = models.CharField(max_length=500, blank=True)
    repeats = models.PositiveIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["state", "id"], condition=Q(state="waiting"), name="delivery_waiting"),
            models.Index(fields=["received_at"], name="delivery_received"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.delivery_id[:8]}"


class Build(Run):
    """A run that builds the images of one revision and pushes them.

    `branch`: the branch that led to it, without `refs/heads/`; `git_tags`: tags at the revision. `cause`: what asked for it;
    `is_fresh`: without the cache, and also where the images exist. `retry_of`: the build that it repeats. `superseded_by`: the
    newer build of the branch because of which this one did not start. `builder`: "buildkit" or "classic", once known.

    `also_for`: whole refs (`refs/heads/…`, `refs/tags/…`) that asked for it, too, while it was open. `tagged_for`: the refs whose
    tags its step `tags` has dealt with; of a report: the branches whose head the revision was.
    """

    class Cause(models.TextChoices):
        PUSH = "push", "Push"
        PERSON = "person", "Asked for"
        CATCH_UP = "catch_up", "Missed push"
        RETRY = "retry", "Retry"
        REBUILD = "rebuild", "Rebuild"
        REPORT = "report", "Built elsewhere"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="builds")
    revision = models.CharField(max_length=40)
    subject = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=150, blank=True)
    branch = models.CharField(max_length=200, blank=True)
    git_tags = models.JSONField(default=list)
    also_for = models.JSONField(default=list, db_default=[], blank=True)
    tagged_for = models.JSONField(default=list, db_default=[], blank=True)
    cause = models.CharField(max_length=20, choices=Cause, default=Cause.PERSON)
    is_fresh = models.BooleanField(default=False)
    delivery = models.ForeignKey(
        Delivery, on_delete=models.SET_NULL, null=True, blank=True, related_name="builds"
    )
    retry_of = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries"
    )
    superseded_by = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="supersedes"
    )
    builder = models.CharField(max_length=20, blank=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  (NULLs are never equal)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "revision"],
                condition=Q(state__in=[state.value for state in OPEN]),
                name="one_open_build_per_revision",
            ),
            models.UniqueConstraint(
                fields=["actor_kind", "actor_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="build_key_once_per_actor",
            ),
        ]
        indexes = [
            models.Index(fields=["project", "-number"], name="build_project"),
            models.Index(fields=["project", "revision", "-number"], name="build_revision"),
            models.Index(fields=["project", "branch", "-number"], name="build_branch"),
            models.Index(fields=["state", "-number"], name="build_state"),
            models.Index(fields=["project", "state", "-number"], name="build_project_state"),
            # Filters of the list without a project
            models.Index(fields=["actor_text", "-number"], name="build_actor"),
            models.Index(fields=["branch", "-number"], name="build_any_branch"),
            models.Index(fields=["revision", "-number"], name="build_any_revision"),
            models.Index(
                fields=["state"],
                condition=Q(state__in=["queued", "running", "cancelling"]),
                name="build_open",
            ),
        ]

    @property
    def short(self) -> str:
        """The first seven characters of the revision."""
        return self.revision[:7]

    @property
    def refs(self) -> list[str]:
        """The refs that asked for it: its branch first."""
        own = [f"{BRANCH}{self.branch}"] if self.branch else []
        return list(dict.fromkeys([*own, *(f"{TAG}{tag}" for tag in self.git_tags), *self.also_for]))

    @property
    def branches(self) -> list[str]:
        """The branches that it belongs to: those that asked for it, and those whose head its revision was."""
        refs = dict.fromkeys([*self.refs, *self.tagged_for])
        return [ref.removeprefix(BRANCH) for ref in refs if ref.startswith(BRANCH)]


class BuildCounter(Counter):
    """The counter for the numbers of builds."""

    name = models.CharField(max_length=20, primary_key=True, default="build")


class BuiltImage(models.Model):
    """One image of a build: the recipe as it was, and what became of it.

    `reference`: host and repository without a tag. `digest`: as the registry reports it; `size` in bytes, compressed;
    `engine_id`: its id in the Docker engine. `steps`, `cached_steps`: of the Dockerfile. The state `existed`: the registry had
    the revision's tag already, so nothing was built.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        BUILDING = "building"
        PUSHING = "pushing"
        SUCCEEDED = "succeeded"
        EXISTED = "existed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    build = models.ForeignKey(Build, on_delete=models.CASCADE, related_name="images")
    image = models.ForeignKey(Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="built")
    registry = models.ForeignKey(Registry, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    name = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField(default=0)
    reference = models.CharField(max_length=600)
    dockerfile = models.CharField(max_length=200, blank=True)
    context = models.CharField(max_length=200, blank=True)
    target = models.CharField(max_length=100, blank=True)
    platform = models.CharField(max_length=50, blank=True)
    state = models.CharField(max_length=20, choices=State, default=State.PENDING)
    sentence = models.CharField(max_length=500, blank=True)
    tags = models.JSONField(default=list)
    digest = models.CharField(max_length=80, blank=True)
    engine_id = models.CharField(max_length=80, blank=True)
    size = models.PositiveBigIntegerField(null=True, blank=True)
    steps = models.PositiveSmallIntegerField(default=0)
    cached_steps = models.PositiveSmallIntegerField(default=0)
    build_seconds = models.FloatField(null=True, blank=True)
    push_seconds = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ["position", "name"]
        constraints = [models.UniqueConstraint(fields=["build", "name"], name="image_once_per_build")]

    def __str__(self) -> str:
        return self.name


class Decision(models.Model):
    """What a delivery led to in one project, and why. A replay adds another row."""

    class Verdict(models.TextChoices):
        BUILD = "build", "Build"
        NO_BUILD = "no_build", "No build"

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="decisions")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    build = models.ForeignKey(
        Build, on_delete=models.SET_NULL, null=True, blank=True, related_name="decisions"
    )
    verdict = models.CharField(max_length=20, choices=Verdict)
    sentence = models.CharField(max_length=500)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]


class SeenBranch(models.Model):
    """The head of a branch or tag up to which builds were decided, so that a missed push is noticed."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="seen_branches")
    ref = models.CharField(max_length=300)
    head = models.CharField(max_length=40)
    seen_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "ref"], name="seen_branch_once")]
