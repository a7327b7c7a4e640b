"""The pull credentials as the portal knows them: what is to stand in which namespace, what stands there, and what was done.

What is wanted (`PullPolicy`, the environments' settings) and what is there (`Credential`) are compared each minute. Tokens are
encrypted at rest; everything else holds keyed fingerprints.
"""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.fields import EncryptedTextField
from projects.models import Cluster, Image, Registry

SECRET_NAME = RegexValidator(
    r"\A[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z", "Write the name of a Kubernetes Secret."
)

USUAL_NAME = "ecr-pull"


class Namespaces(models.TextChoices):
    """Which namespaces of a cluster get the credential."""

    ENVIRONMENTS = "environments", "Those of environments that name a pull secret"
    SELECTOR = "selector", "Those with a label"
    ALL = "all", "All, without the system's"


class State(models.TextChoices):
    """The state of one Secret. `ENDED`: its shortest token has ended. `FOREIGN`: somebody else wrote the Secret."""

    VALID = "valid", "valid"
    ENDS_SOON = "ends_soon", "ends soon"
    ENDED = "ended", "ended"
    MISSING = "missing", "missing"
    REFRESHING = "refreshing", "being renewed"
    FAILING = "failing", "cannot be renewed"
    FOREIGN = "foreign", "written by others"
    PAUSED = "paused", "paused"
    UNKNOWN = "unknown", "not known"


class Cause(models.TextChoices):
    """Why credentials were renewed."""

    DUE = "due", "half of its life is over"
    START = "start", "the portal looked again after a pause"
    MISSING = "missing", "the Secret was missing"
    TAMPERED = "tampered", "the Secret was changed by others"
    DEPLOY = "deploy", "a deploy needs it"
    PERSON = "person", "asked for"
    APPEARED = "appeared", "the namespace appeared"
    ADOPTED = "adopted", "an admin let the portal take the Secret over"


# Rows of clusters that are not archived: nothing is looked at, written or told in the others.
OF_CURRENT = models.Q(cluster__archived_at=None)


class PullPolicy(models.Model):
    """What a cluster's namespaces get. A cluster without a row has the defaults (`registry.policies.policy_of`).

    `selector`: a label selector (`team=shop,tier!=db`), for SELECTOR. `secret_name`: for SELECTOR and ALL; an environment names
    its own. `registries`: none means all. `service_accounts`: names of accounts that get the Secret as imagePullSecrets.
    """

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="pull_policy")
    namespaces = models.CharField(max_length=20, choices=Namespaces, default=Namespaces.ENVIRONMENTS)
    selector = models.CharField(max_length=300, blank=True)
    secret_name = models.CharField(max_length=253, default=USUAL_NAME, validators=[SECRET_NAME])
    registries = models.ManyToManyField(Registry, blank=True, related_name="+")
    service_accounts = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    edited = models.PositiveIntegerField(default=0)

    @property
    def is_paused(self) -> bool:
        """Whether nothing is written in this cluster now."""
        return not self.enabled or (self.paused_until is not None and self.paused_until > timezone.now())


class RegistryToken(models.Model):
    """The token of one identity in one region: it opens each registry that the identity may use there.

    `session_ends_at`: the end of the STS session that it was made in, which may end the token early. `proofs`: host → {by:
    manifest | v2 | "", at, error, hint, image}, of the newest try. `fence`: of the lease under which it was written. The last
    five fields tell of failed attempts to get a new one; the old one stays meanwhile.
    """

    region = models.CharField(max_length=30)
    role_arn = models.CharField(max_length=200, blank=True)
    username = models.CharField(max_length=100, default="AWS")
    token = EncryptedTextField(blank=True, default="")
    fingerprint = models.CharField(max_length=16, blank=True)
    minted_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    session_ends_at = models.DateTimeField(null=True, blank=True)
    proven_at = models.DateTimeField(null=True, blank=True)
    proofs = models.JSONField(default=dict)
    fence = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["region", "role_arn"], name="one_token_per_identity")]

    @property
    def ends_at(self) -> datetime | None:
        """When it ends: by ECR's own word, or with the session that made it."""
        ends = [at for at in (self.expires_at, self.session_ends_at) if at is not None]
        return min(ends, default=None)

    @property
    def half_life_at(self) -> datetime | None:
        """When half of its life is over, so that a new one is due."""
        if self.ends_at is None or self.minted_at is None:
            return None
        return self.minted_at + (self.ends_at - self.minted_at) / 2


class KnownImage(models.Model):
    """An image that is known to be in its registry: a token is tried on it. Deploys write these rows."""

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="+")
    reference = models.CharField(max_length=140)  # digest or tag
    noted_at = models.DateTimeField()


class Watch(models.Model):
    """What the portal last learned of a cluster's pull secrets. A cluster that does not answer has one row of error here,
    and is asked again after growing pauses."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="pull_watch")
    looked_at = models.DateTimeField(null=True, blank=True)  # the last complete look
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)


class Credential(models.Model):
    """One image pull secret: a Secret of a namespace.

    `entries`: registry's host → {fingerprint, expires_at}, of what stands there. `expires_at`: the earliest of them.
    `half_life_at`: when it is due. `proven_by`: manifest, or v2 (the registry's sign-in alone). `last_writer`: who wrote it last
    by the cluster's own word, of a foreign or tampered one. `adopt`: an admin said that the portal may replace it. `repairs`:
    how often others changed it since `repaired_at` (more than a few times an hour and the portal stops repairing).
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="pull_credentials")
    namespace = models.CharField(max_length=63)
    secret_name = models.CharField(max_length=253)
    state = models.CharField(max_length=12, choices=State, default=State.UNKNOWN)
    fingerprint = models.CharField(max_length=16, blank=True)
    entries = models.JSONField(default=dict)
    expires_at = models.DateTimeField(null=True, blank=True)
    half_life_at = models.DateTimeField(null=True, blank=True)
    written_at = models.DateTimeField(null=True, blank=True)
    proven_at = models.DateTimeField(null=True, blank=True)
    proven_by = models.CharField(max_length=10, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, blank=True)
    last_writer = models.CharField(max_length=200, blank=True)
    paused_until = models.DateTimeField(null=True, blank=True)
    adopt = models.BooleanField(default=False)
    repairs = models.PositiveIntegerField(default=0)
    repaired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["cluster_id", "namespace", "secret_name"]
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "namespace", "secret_name"], name="one_credential_per_secret"
            )
        ]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.secret_name}"

    @property
    def place(self) -> str:
        """Cluster, namespace and Secret, for sentences and the audit."""
        return f"{self.cluster.slug}/{self.namespace}/{self.secret_name}"

    @property
    def is_usable(self) -> bool:
        """Whether pods can pull with it now, as far as the portal knows."""
        return (
            self.expires_at is not None and self.expires_at > timezone.now() and self.state != State.MISSING
        )


class Refresh(models.Model):
    """One renewal in one cluster, with its cause. Kept for 30 days.

    `namespace`: empty for all. `step`: 1 list, 2 token, 3 proof, 4 write, 5 read back; `done` of `total` there. `tries`: how
    often the portal has tried by now: a failure that goes on stays one row.
    """

    class Progress(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "running"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        ABANDONED = "abandoned", "broken off"

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="pull_refreshes")
    namespace = models.CharField(max_length=63, blank=True)
    cause = models.CharField(max_length=10, choices=Cause)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    asked_as = models.CharField(max_length=150, blank=True)
    state = models.CharField(max_length=10, choices=Progress, default=Progress.QUEUED)
    step = models.PositiveSmallIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0)
    asked_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    sentence = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    fingerprint = models.CharField(max_length=16, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["cluster", "-id"], name="refresh_newest"),
            models.Index(fields=["state"], condition=Q(state__in=["queued", "running"]), name="refresh_open"),
            models.Index(fields=["ended_at"], name="refresh_ended"),
        ]


class RefreshResult(models.Model):
    """What a renewal did to one Secret."""

    class Result(models.TextChoices):
        WRITTEN = "written", "renewed"
        UNCHANGED = "unchanged", "was fresh"
        FAILED = "failed", "not renewed"
        FOREIGN = "foreign", "left alone"
        SKIPPED = "skipped", "skipped"

    refresh = models.ForeignKey(Refresh, on_delete=models.CASCADE, related_name="results")
    credential = models.ForeignKey(Credential, on_delete=models.CASCADE, related_name="results")
    result = models.CharField(max_length=10, choices=Result)
    sentence = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refresh", "credential"], name="one_result_per_credential")
        ]


class WriterLease(models.Model):
    """Who may write: one holder per cluster (`cluster-3`) and per token's identity (`token-eu-west-2-…`).

    `fence` grows with each taking. A holder that was replaced finds another number and writes nothing.
    """

    name = models.CharField(max_length=260, primary_key=True)
    holder = models.CharField(max_length=64, blank=True)
    until = models.DateTimeField()
    fence = models.PositiveBigIntegerField(default=0)
