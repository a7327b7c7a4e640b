"""Sample data for the style guide in `pages/`: every part with its states. The names and numbers mean nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils.safestring import mark_safe

from engine.types import ClusterEvent, Evidence, ObjectRef, Progress
from ui.formrender import Switch

NOW = datetime(2026, 7, 14, 9, 44, tzinfo=UTC)
SHA = "63ec5c0a91d7e4b8f2c6d0e1a2b3c4d5e6f70819"

DIFF = """--- live
+++ this release
@@ -26,7 +26,7 @@ spec.template.spec.containers[worker]
       - name: worker
-        image: registry.example/search/worker:4a91d7e@sha256:c07d1e55aa
+        image: registry.example/search/worker:63ec5c0@sha256:41ab7790ff
         args: ["celery", "-A", "analytics", "worker", "-c", "4"]
@@ -41,4 +41,4 @@ data
-  REDIS_URL: '#0123456789abcdef'
+  REDIS_URL: '#fedcba9876543210'
   OTHER: stays
""".splitlines()


@dataclass(frozen=True)
class Line:
    number: int
    at: datetime | None
    level: str
    text: str


def lines(first: int, *texts: str) -> list[Line]:
    """Log lines; a text beginning with `!` is an error, with `?` a warning, with `…` a gap."""
    levels = {"!": "error", "?": "warning", "…": "gap"}
    return [
        Line(first + i, NOW + timedelta(seconds=i), levels.get(text[0], "info"), text.lstrip("!?"))
        for i, text in enumerate(texts)
    ]


FOLDS = [
    {"step": "checkout", "name": "Checkout", "state": "succeeded", "summary": "63ec5c0 from the mirror", "seconds": 2,
     "lines": lines(1, "Fetched harbour/search: 3 new commits", "Checked out 63ec5c0 “Cache keyword rollups”")},
    {"step": "apply", "name": "Apply", "state": "succeeded", "summary": "6 of 17 objects", "seconds": 14, "open": True,
     "lines": lines(3, "Watching Deployments, Pods, Jobs, Events", "Secret/search        applied   2 keys changed",
                    "  migrate | Applying 0042_rank_history... OK <b>not bold</b>", "… 12,000 lines left out")},
    {"step": "rollout", "name": "Rollout", "state": "running", "summary": "waiting for Deployment/worker", "open": True,
     "lines": lines(7, "Deployment/api     3 of 3 ready, done in 41 s",
                    "?pod worker-6f8b9c7d55-pz4mn    readiness probe failed: HTTP 503 from http://10.0.3.17:8001/ready",
                    "!Given up: the same container fails on both new pods")},
]  # fmt: skip

STEPS = [
    {"name": "checkout", "state": "succeeded", "seconds": 2},
    {"name": "secrets", "state": "succeeded", "seconds": 1},
    {"name": "render", "state": "succeeded", "seconds": 0.4},
    {"name": "preflight", "state": "succeeded", "seconds": 6},
    {"name": "apply", "state": "succeeded", "seconds": 74},
    {
        "name": "rollout",
        "state": "running",
        "seconds": None,
        "started_at": datetime.now(UTC) - timedelta(seconds=65),
        "percent": 59,
    },
    {"name": "notify", "state": "pending", "seconds": None},
]
FAILED_STEPS = [
    *STEPS[:5],
    {"name": "rollout", "state": "failed", "seconds": 139},
    {"name": "notify", "state": "succeeded", "seconds": 1},
]

CHECKS = [
    {"state": "failed", "text": "Image storefront/web:63ec5c0 is not in the registry", "detail": "Build it first."},
    {"state": "warning", "text": "SENTRY_DSN still has the sample value", "detail": "Errors would reach nobody.",
     "url": "/projects/storefront/staging/secrets/", "link": "Edit the key"},
    {"state": "passed", "text": "The cluster accepts all 17 objects in a dry run, strict validation"},
]  # fmt: skip

EVIDENCE = [
    Evidence(
        pod="cms-web-6d7f9c5b8-t4xkz", container="web", reason="CrashLoopBackOff", exit_code=1, restarts=3,
        message="back-off 20s restarting failed container",
        events=(ClusterEvent("Normal", "Pulled", "image landing-cms/web:d19a6f2 in 2.8 s"),
                ClusterEvent("Warning", "Unhealthy", "readiness probe: connection refused", 6),
                ClusterEvent("Warning", "BackOff", "restarting failed container web in pod cms-web-6d7f9c5b8-t4xkz", 9)),
        logs=("Starting gunicorn 23.0.0, 2 workers", '  File "/app/cms/wsgi.py", line 14, in <module>',
              'django.db.utils.OperationalError: FATAL: password authentication failed for user "cms_2026"',
              "[1] Worker failed to boot, shutting down"),
        previous_logs=("Starting gunicorn 23.0.0, 2 workers",),
    )
]  # fmt: skip

OBJECTS = [
    (ObjectRef("Deployment", "apps", "search", "api"), Progress.READY, "3 of 3 replicas ready", 41),
    (
        ObjectRef("Deployment", "apps", "search", "worker"),
        Progress.PROGRESSING,
        "1 starting, 1 old pod until then",
        65,
    ),
    (ObjectRef("ConfigMap", "", "search", "analytics-config"), Progress.APPLIED, "1 key added", 1),
    (
        ObjectRef("Job", "batch", "search", "migrate-1847"),
        Progress.FAILED,
        "Job ran 3 times and failed each time",
        9,
    ),
    (ObjectRef("Service", "", "search", "api"), Progress.PENDING, "", None),
]

STATES = ["queued", "waiting", "running", "cancelling", "succeeded", "failed", "errored", "cancelled", "timed_out",
          "superseded", "abandoned", "pending", "applied", "progressing", "ready", "healthy", "degraded", "suspended",
          "unknown", "create", "change", "unchanged", "passed", "warning", "missing", "skipped",
          "invented"]  # fmt: skip


class SampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(help_text="As people call it; may change later.")
    namespace = forms.RegexField(
        r"^[a-z-]+$",
        error_messages={"invalid": "Only a to z and “-”."},
        widget=forms.TextInput({"class": "mono"}),
    )
    cluster = forms.ChoiceField(choices=[("", "Pick one"), ("lon", "apps-lon1"), ("fra", "spare-fra1")])
    note = forms.CharField(
        required=False, widget=forms.Textarea({"rows": 2}), label="Note for those who deploy"
    )
    approve = forms.BooleanField(
        required=False, widget=Switch(), label="A second person approves", help_text="The one who asks cannot"
    )
    production = forms.BooleanField(required=False, label="This is production", help_text="Asked once more")
    slack = forms.ChoiceField(
        widget=forms.RadioSelect(),
        label="Say in Slack",
        choices=[
            ("fail", mark_safe("Failures<small>And when it works again</small>")),
            ("all", "Every deploy"),
        ],
    )
    secret = forms.CharField(
        widget=forms.PasswordInput({"autocomplete": "off"}), label="Token", required=False
    )


class FilterForm(forms.Form):
    """Filters of a list."""

    project = forms.ChoiceField(choices=[("", "Any"), ("search", "search-analytics")], required=False)
    state = forms.ChoiceField(choices=[("", "Any"), ("failed", "Failed")], required=False)
    since = forms.DateField(required=False, widget=forms.DateInput({"type": "date"}), label="From")
    revision = forms.CharField(
        required=False, widget=forms.TextInput({"class": "mono", "placeholder": "any"})
    )


def context() -> dict[str, Any]:
    """All of it, as the pages expect it."""
    wrong = SampleForm({"name": "", "namespace": "search_analytics", "cluster": "lon", "slack": "all"})
    wrong.add_error(None, "Two environments of one cluster may not share a namespace.")
    return {
        "now": datetime.now(UTC),
        "earlier": datetime.now(UTC) - timedelta(minutes=31),
        "long_ago": datetime.now(UTC) - timedelta(days=41),
        "later": datetime.now(UTC) + timedelta(hours=5, seconds=5),
        "sha": SHA,
        "states": STATES,
        "steps": STEPS,
        "failed_steps": FAILED_STEPS,
        "checks": CHECKS,
        "diff": DIFF,
        "folds": FOLDS,
        "evidence": [asdict(item) for item in EVIDENCE],
        "objects": OBJECTS,
        "form": SampleForm(),
        "wrong": wrong,
        "filters": FilterForm(),
        "failure_facts": [("Still serving", "8be03d7 with 2 of 2 pods. No old pod was stopped.")],
        "banners": [{"state": "warning", "text": "Slack has not answered since 10:12.", "url": "/", "link": "Status"}],
    }  # fmt: skip
