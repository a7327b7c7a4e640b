"""Releases and deploys. Database constraints forbid two active deploys of one environment and reused idempotency keys."""

from __future__ import annotations

import json
import zlib
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from builds.models import Build
from projects.models import Environment, Project
from runs.models import Counter, Run

STEPS = ("checkout", "secrets", "render", "preflight", "apply", "rollout", "notify")


class Release(models.Model):
    """What a deploy puts in place; immutable except for `verified_at` and the mark "bad".

    `images`: {name: {repository, tag, digest}}. `secret_versions`: {path of the secrets file: VersionId}.
    `objects_compressed`: zlib over JSON of the stored objects (engine/manifests/stored.py), without any secret value; lists never
    load it. `content_hash` is equal for equal objects. `place`: the cluster and namespace that the release was made for; it
    can be applied nowhere else, because its objects name their namespace. Empty in releases older than this column.
    `marked_bad_by`, `marked_bad_at`, `bad_reason`: the person who marked the release as bad after it was verified
    (deployments/gate/marking.py), the time and the reason; empty for a release without the mark.
    """

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="releases")
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
        """Whether the environment still has the cluster and namespace that this release was made for."""
        return self.place in ("", environment.place)

    @property
    def is_bad(self) -> bool:
        """Whether a person marked the release as bad: no automatic rollback chooses it."""
        return self.marked_bad_by != ""

    @property
    def stored_objects(self) -> list[dict[str, Any]]:
        """The stored objects. Each call decompresses them: use it for one release, never in a list."""
        return json.loads(zlib.decompress(bytes(self.objects_compressed)))


def compress(objects: list[dict[str, Any]]) -> bytes:
    """The value of `Release.objects_compressed` for these objects."""
    return zlib.compress(json.dumps(objects, separators=(",", ":")).encode(), 6)


class Plan(models.Model):
    """What a preview showed to the person who may press the button below it. The form names it by `key`.

    `newest`: number of the environment's newest deploy then, 0 for none; `open_deploys`: numbers of those that had not ended;
    `edited`: the counter of the environment's settings. `secret_versions`: VersionId by path. `images`: digest by name.
    `actions`: what would be done, by object (without the number in the names of Jobs); null where the dry run could not tell.
    """

    key = models.CharField(max_length=32, unique=True)
    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="plans")
    kind = models.CharField(max_length=20)
    revision = models.CharField(max_length=40)
    newest = models.PositiveIntegerField(default=0)
    open_deploys = models.JSONField(default=list)
    edited = models.PositiveIntegerField(default=0)
    secret_versions = models.JSONField(default=dict)
    images = models.JSONField(default=dict)
    actions = models.JSONField(default=dict)
    made_at = models.DateTimeField(db_default=Now(), db_index=True)


class Deploy(Run):
    """A run that puts a revision (or a stored release, for a rollback) in place in an environment.

    `revision` is the full commit id; `subject`, `author` are copied from the commit, so that lists need neither Git nor the
    release. `evidence`: the failed objects, as `gate.ending.evidence_of` makes them. `undoes`: the deploy whose failure or
    cancel this rollback follows. `secret_versions`: the VersionId by path of each secrets file that the deploy is pinned to,
    from the preview, the request, or the step `secrets`. `key_names`: names of secret keys by the sentence (in the result,
    warnings or evidence) that only counts them. `override_reason`: why findings that a person may override do not stop
    this deploy; empty where nothing is overridden. `branch`: of the revision,
    where that was not on the project's default branch. `plan`: the preview that the person saw. `is_held_back`: a workload of it
    does not replace its pods by itself (paused, OnDelete) and has pods of before, so the release is not taken for verified.
    `still_serving`: sentences about what served when it had failed, which are also the end of `hint`; empty where not known.
    """

    class Kind(models.TextChoices):
        DEPLOY = "deploy", "Deploy"
        ROLLBACK = "rollback", "Rollback"
        SECRETS = "secrets", "Secrets alone"  # what runs, with other secrets

    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="deploys")
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
    branch = models.CharField(max_length=200, blank=True, default="", db_default="")
    reason = models.CharField(max_length=500, blank=True)
    override_reason = models.CharField(max_length=300, blank=True, default="", db_default="")
    is_held_back = models.BooleanField(default=False, db_default=False)
    still_serving = models.CharField(max_length=500, blank=True, default="", db_default="")
    secret_versions = models.JSONField(default=dict, db_default={}, blank=True)
    key_names = models.JSONField(default=dict, db_default={}, blank=True)
    plan = models.ForeignKey(Plan, on_delete=models.SET_NULL, null=True, blank=True, related_name="deploys")
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
            models.Index(fields=["environment", "revision"], name="deploy_record"),
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
        """The first seven characters of the revision."""
        return self.revision[:7]


class AutomaticChoice(models.Model):
    """What an environment's rule (`Environment.auto_deploy`) did with a green build: each is decided once.

    `deploy`: the one that it asked for, or None; then `sentence` says why not.
    """

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="automatic_choices")
    build = models.ForeignKey(Build, on_delete=models.CASCADE, related_name="+")
    deploy = models.ForeignKey(Deploy, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    sentence = models.CharField(max_length=500, blank=True)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["environment", "build"], name="automatic_choice_once_per_build")
        ]


class DeployCounter(Counter):
    """The counter for the numbers of deploys."""

    name = models.CharField(max_length=20, primary_key=True, default="deploy")


class ObjectState(models.Model):
    """One object of a deploy: the action of its apply (`engine.types.Action`) and the progress of its rollout.

    `pods`: its new pods (`engine.types.PodsShown` as JSON): how many are ready, and what the others wait for; null where it
    has none.
    """

    run_id = models.UUIDField()
    ref = models.CharField(max_length=400)
    position = models.PositiveIntegerField(default=0)
    action = models.CharField(max_length=20, blank=True)
    progress = models.CharField(max_length=20)
    sentence = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    evidence = models.JSONField(null=True, blank=True)
    pods = models.JSONField(null=True, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "ref"]
        constraints = [models.UniqueConstraint(fields=["run_id", "ref"], name="object_once_per_run")]


class BranchState(models.Model):
    """A branch of a project's repository as the last fetch found it, so that pages need no Git.

    `commits`: newest first, at most branches.KEPT of them, along first parents: lists of [sha, subject, author,
    authored_at (ISO 8601)]. `fetched_at`: time of the last fetch that succeeded. `error`: why the newest fetch (`tried_at`)
    failed, else empty; the old commits stay then.
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
