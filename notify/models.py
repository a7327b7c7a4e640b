"""The outbox: a change writes a row for its message in its own transaction, and a job sends the row afterwards. So no
message is lost in a crash, and none is sent for a change that was rolled back ("transactional outbox" pattern)."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from projects.models import Project


class Outgoing(models.Model):
    """One message to an outside system. `key` is unique: a repeated write, for example after a take-over, sends nothing twice.

    `thread`: messages of one thread are sent in order. In Slack the first one is posted, later ones update it, and details are
    replies below it; a note is a reply, or the first message where there is none. Of several waiting states of a thread only the
    last one is told; the others are skipped. `payload`: the data of the message, without
    secret values. GitHub gets statuses of commits and deployments; `recipient` is then `owner/name` of the repository.
    """

    class Kind(models.TextChoices):
        SLACK = "slack", "message about a deploy"
        SLACK_NOTE = "slack_note", "note in a thread"
        SLACK_REQUEST = "slack_request", "message about a change of secrets"
        OPERATIONS = "operations", "warning to operations"
        GITHUB_STATUS = "github_status", "status of a commit on GitHub"
        GITHUB_DEPLOYMENT = "github_deployment", "deployment on GitHub"

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"
        SKIPPED = "skipped"

    kind = models.CharField(max_length=20, choices=Kind)
    recipient = models.CharField(max_length=200)
    key = models.CharField(max_length=150, unique=True)
    thread = models.CharField(max_length=100, blank=True)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    result = models.CharField(max_length=500, blank=True)
    external_id = models.CharField(
        max_length=100, blank=True, help_text="Channel and ts of Slack's message, or GitHub's id."
    )

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(state="waiting"), name="outgoing_due"),
            models.Index(fields=["thread", "id"], name="outgoing_thread"),
        ]


class Alarm(models.Model):
    """A trouble that the operations channel is told of once, from its begin to its end. `key` names the trouble.

    All times are the database's. `told_at`: when it was told, None until it has lasted. `well_since`: the first look that
    found it over, None while it lasts. `ended_at`: that time, once the end has lasted.
    """

    key = models.CharField(max_length=100)
    level = models.CharField(max_length=20)
    text = models.CharField(max_length=1000)
    link = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField()
    told_at = models.DateTimeField(null=True, blank=True)
    well_since = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["key"], condition=models.Q(ended_at=None), name="one_open_alarm_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.text}"


class GitHubRefusal(models.Model):
    """GitHub does not take statuses or deployments of a project, because a right or the repository is missing. Pages say it
    once, by this row; the next success deletes it. `kind`: of the outbox rows that it is about."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="github_refusals")
    kind = models.CharField(max_length=20, choices=Outgoing.Kind)
    sentence = models.CharField(max_length=500)
    hint = models.CharField(max_length=500, blank=True)
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["kind"]
        constraints = [models.UniqueConstraint(fields=["project", "kind"], name="github_refusal_once")]

    def __str__(self) -> str:
        return self.sentence
