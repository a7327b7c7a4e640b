"""Secrets in AWS as the portal knows them: versions, saves, drafts and change requests. No value is stored in clear.

Everything hangs on the secret of AWS (its ARN), not on the row of a secrets file: two secrets files may name one secret, and
history outlives a secrets file that is taken out of the settings.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from core.fields import EncryptedTextField
from projects.models import Environment


class Secret(models.Model):
    """One secret of AWS Secrets Manager, as it was described last.

    `labels`: VersionId → labels, of labelled versions. `described_at`: when this was true. `error`: why the newest attempt
    (`tried_at`) gave no answer; the old answer stays. `deleted_at`: scheduled for deletion since. `gone_at`: AWS has said since
    then that there is no such secret, although there was one at `described_at`.
    """

    arn = models.CharField(max_length=700, unique=True)
    region = models.CharField(max_length=30)
    name = models.CharField(max_length=512)
    current_version = models.CharField(max_length=64, blank=True)
    labels = models.JSONField(default=dict)
    deleted_at = models.DateTimeField(null=True, blank=True)
    gone_at = models.DateTimeField(null=True, blank=True)
    described_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return self.name


class SecretAddress(models.Model):
    """Which secret a name or ARN in the settings (`named`) stands for, seen with a role in a region."""

    region = models.CharField(max_length=30)
    role_arn = models.CharField(max_length=200, blank=True)
    named = models.CharField(max_length=512)
    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="addresses")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["region", "role_arn", "named"], name="secret_address_once")
        ]


class SecretVersion(models.Model):
    """One version of a secret: made here, or found in AWS.

    A save is this row first: its UUID becomes AWS's VersionId, so that a save whose answer was lost can be looked up. `state`
    says how far it is; a tick closes rows that stay open. `keys` is what may be shown of the content without reading it,
    None while nobody has read it (secrets_ui/known/public.py says what stands there). `touched`: {added, changed, removed:
    lists of "secret/key", renamed: list of [from, to]}. Both are big: lists defer `keys`.
    """

    class State(models.TextChoices):
        OPEN = "open", "being saved"
        WAITING = "waiting", "waits for approval"
        STORED = "stored", "stored"
        REFUSED = "refused", "not saved: another version came first"
        FAILED = "failed", "not saved"

    class Source(models.TextChoices):
        EDIT = "edit", "edited"
        IMPORT = "import", "imported"
        COPY = "copy", "copied from another environment"
        RESTORE = "restore", "restored"
        CREATE = "create", "created from the reference file"
        REQUEST = "request", "asked for"
        OUTSIDE = "outside", "changed outside the portal"

    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="versions")
    version_id = models.CharField(max_length=64, default=uuid.uuid4)
    base_version = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    source = models.CharField(max_length=10, choices=Source, default=Source.EDIT)
    comment = models.CharField(max_length=300, blank=True)
    environment = models.ForeignKey(
        Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    actor_kind = models.CharField(max_length=20, blank=True)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_text = models.CharField(max_length=150, blank=True)
    touched = models.JSONField(default=dict)
    keys = models.JSONField(null=True, default=None)
    byte_count = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    stored_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["secret", "version_id"], name="secret_version_once")]
        indexes = [
            models.Index(fields=["secret", "-id"], name="secret_version_newest"),
            models.Index(fields=["state"], condition=Q(state="open"), name="secret_version_open"),
        ]


class Draft(models.Model):
    """Unsaved edits of a person, encrypted; one row for each person and secret. A tick erases it when it ends.

    `edits`: JSON of the edits with values in base64, encrypted with ENCRYPTION_KEYS. `base_version`: what was edited.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="drafts")
    base_version = models.CharField(max_length=64, blank=True)
    edits = EncryptedTextField(blank=True, default="")
    edited = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "secret"], name="one_draft_per_person_and_secret")
        ]


class VersionUse(models.Model):
    """A deploy that used a version. Deploys write these rows; the text outlives the deploy's environment.

    `served_at`: when the deploy succeeded, so that its pods run with this version; empty for one that did not.
    """

    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="uses")
    version_id = models.CharField(max_length=64)
    deploy_number = models.PositiveIntegerField()
    environment = models.ForeignKey(
        Environment, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    environment_text = models.CharField(max_length=80)
    used_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["secret", "version_id", "deploy_number"], name="version_use_once")
        ]
        indexes = [models.Index(fields=["environment", "secret", "-served_at"], name="version_use_serving")]


class ChangeRequest(models.Model):
    """A version that waits in AWS for another person's approval, under one of ten labels (`slot`).

    `decided_at` while it waits: an approval is under way. It waits from when its version does (`SecretVersion.state`).
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        APPROVED = "approved"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"
        STALE = "stale"

    version = models.OneToOneField(SecretVersion, on_delete=models.CASCADE, related_name="request")
    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="requests")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="secret_requests")
    slot = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["secret", "slot"], condition=Q(state="waiting"), name="one_waiting_request_per_slot"
            )
        ]


class CreationRequest(models.Model):
    """Making a secret from the reference file, which waits for another person. AWS holds nothing of it until it is approved: the
    first version of a secret is always current there, so that none could wait.

    `region`, `role_arn`, `named`: the secret that the settings named when it was asked for. `sha`: the commit whose reference
    file it is made from. `decided_at` while it waits: an approval is under way.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+")
    path = models.CharField(max_length=200)
    region = models.CharField(max_length=30)
    role_arn = models.CharField(max_length=200, blank=True)
    named = models.CharField(max_length=512)
    sha = models.CharField(max_length=64)
    comment = models.CharField(max_length=300)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_text = models.CharField(max_length=150)
    state = models.CharField(max_length=10, choices=ChangeRequest.State, default=ChangeRequest.State.WAITING)
    decided_by = models.CharField(max_length=150, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decision = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["region", "role_arn", "named"],
                condition=Q(state="waiting"),
                name="one_waiting_creation_per_secret",
            )
        ]
