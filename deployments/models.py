"""Releases and deploys. What must never happen twice is a constraint here."""

from __future__ import annotations

import json
import zlib
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils import timezone

from projects.models import Environment, Project
from runs.models import Counter, Run

STEPS = ("checkout", "secrets", "render", "preflight", "apply", "rollout", "notify")


class Release(models.Model):
    """What a deploy puts in place; immutable but for `verified_at` and the mark that it is bad.

    `images`: {name: {repository, tag, digest}}. `secret_versions`: {path of the secrets file: VersionId}.
    `objects_compressed`: zlib over JSON of the stored objects (engine/manifests/stored.py), without any secret value; lists never
    load it. `content_hash` is equal for equal objects. `place`: cluster and namespace that it was made for (its objects
    name their namespace); it fits nowhere else. Empty in releases from before this was kept. `marked_bad_by`: who found it
    bad after it was verified (deployments/gate/marking.py), with when and why; empty while nobody did.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="releases")
    revision = models.CharField(max_length=40)
    subject = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=150, blank=True)
    authored_at = models.DateTimeField(null=True, blank=True)
    images = models.JSONField(default=dict)
    secret_versions = models.JSONField(default=dict)
    objects_compressed = models.BinaryField()
    object_count = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)
    place = models.CharField(max_length=110, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    marked_bad_by = models.CharField(max_length=150, blank=True)
    marked_bad_at = models.DateTimeField(null=True, blank=True)
    bad_reason = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["environment", "-verified_at"], name="release_verified"),
            models.Index(
                fields=["environment", "revision"], condition=~Q(marked_bad_by=""), name="release_bad"
            ),
        ]

    def fits(self, environment: Environment) -> bool:
        """Whether the environment still is where this release was made for."""
        return self.place in ("", environment.place)

    @property
    def is_bad(self) -> bool:
        """Somebody marked it as bad: nothing goes back to it unless a person insists."""
        return self.marked_bad_by != ""

    @property
    def stored_objects(self) -> list[dict[str, Any]]:
        """The stored objects. Costs a decompression: for one release, never in a list."""
        return json.loads(zlib.decompress(bytes(self.objects_compressed)))


def compress(objects: list[dict[str, Any]]) -> bytes:
    """What `Release.objects_compressed` holds."""
    return zlib.compress(json.dumps(objects, separators=(",", ":")).encode(), 6)


class Deploy(Run):
    """The act: somebody asked for a revision (or a stored release) to run in an environment.

    `revision` is the full commit id; `subject`, `author` are copied from it, so that lists need neither Git nor the release.
    `evidence`: what the cluster showed. `override_reason`: why findings of the checks that a person may override do not stop
    this deploy; empty where nothing is overridden. `is_held_back`: a workload that it changed does not replace its pods by
    itself (paused, OnDelete), so that its release is not taken for verified.
    """

    class Kind(models.TextChoices):
        DEPLOY = "deploy", "Deploy"
        ROLLBACK = "rollback", "Rollback"

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="deploys")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.DEPLOY)
    revision = models.CharField(max_length=40)
    requested = models.CharField(
        max_length=200, blank=True, help_text="What was asked for: a branch, a tag, a commit."
    )
    subject = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=150, blank=True)
    release = models.ForeignKey(
        Release, on_delete=models.SET_NULL, null=True, blank=True, related_name="deploys"
    )
    rolls_back_to = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="rollbacks"
    )
    undoes = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="undone_by", db_index=False
    )
    previous_revision = models.CharField(
        max_length=40, blank=True, help_text="What ran before, for the list of commits."
    )
    reason = models.CharField(max_length=500, blank=True)
    override_reason = models.CharField(max_length=300, blank=True, default="", db_default="")
    is_held_back = models.BooleanField(default=False, db_default=False)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  (NULLs are never equal)

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(
                fields=["environment"],
                condition=Q(state__in=["running", "cancelling"]),
                name="one_active_deploy_per_environment",
            ),
            models.UniqueConstraint(
                fields=["actor_kind", "actor_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="idempotency_key_once_per_actor",
            ),
        ]
        indexes = [
            models.Index(fields=["environment", "-number"], name="deploy_environment"),
            models.Index(fields=["environment", "state", "-number"], name="deploy_environment_state"),
            models.Index(fields=["state", "-number"], name="deploy_state"),
            models.Index(fields=["actor_text", "-number"], name="deploy_actor"),
            models.Index(fields=["revision", "-number"], name="deploy_revision"),
            models.Index(fields=["created_at"], name="deploy_created"),
            models.Index(fields=["undoes"], condition=Q(undoes__isnull=False), name="deploy_undoes"),
            models.Index(
                fields=["state"],
                condition=Q(state__in=["queued", "running", "cancelling"]),
                name="deploy_open",
            ),
        ]

    @property
    def short(self) -> str:
        """The seven characters of a revision that people read."""
        return self.revision[:7]

    @property
    def seconds(self) -> float | None:
        """From start to end, or to now while it goes on; None before it begins."""
        if self.started_at is None:
            return None
        return ((self.ended_at or timezone.now()) - self.started_at).total_seconds()


class DeployCounter(Counter):
    """Gives out the numbers of deploys."""

    name = models.CharField(max_length=20, primary_key=True, default="deploy")


class ObjectState(models.Model):
    """One object of a deploy: what applying it did and how far its rollout is."""

    run_id = models.UUIDField()
    ref = models.CharField(max_length=400)
    position = models.PositiveIntegerField(default=0)
    action = models.CharField(max_length=20, blank=True)
    progress = models.CharField(max_length=20)
    sentence = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "ref"]
        constraints = [models.UniqueConstraint(fields=["run_id", "ref"], name="object_once_per_run")]


class BranchState(models.Model):
    """A branch of a project's repository as it was seen last, so that pages need no Git.

    `commits`: newest first, at most branches.KEPT of them, along first parents: lists of [sha, subject, author,
    authored_at (ISO 8601)]. `fetched_at`: when this was true. `error`: why the newest attempt (`tried_at`) gave no answer;
    the old answer stays.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="branch_states")
    branch = models.CharField(max_length=200)
    head = models.CharField(max_length=40, blank=True)
    commits = models.JSONField(default=list)
    fetched_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "branch"], name="branch_once_per_project")]
