"""The forms of projects, environments, images, secrets files and members."""

from __future__ import annotations

from typing import Any

from django import forms

from engine.limits import LONGEST_SETTLE
from engine.manifests.settling import Settling
from people.models import User
from projects import secret_rights
from projects.models import (
    LONGEST_WATCH,
    WATCH_SECONDS,
    Cluster,
    Environment,
    Image,
    Project,
    Registry,
    Role,
    SecretsFile,
    default_secret_rights,
)
from projects.pages.checked_form import CheckedForm, of, slug_field, unused
from projects.policies import LONGEST_PATTERN, POLICIES
from ui.formrender import Switch
from ui.forms import Unseen

# “None” has a value of its own here: a form without this field must not mean a public repository.
PUBLIC = "none"
ACCESS = [(kind or PUBLIC, label) for kind, label in Project.Credential.choices]


class ProjectForm(CheckedForm):
    """A project: new, or its general settings (then without the slug)."""

    name = of(Project, "name", label="Name")
    slug = slug_field(Project)
    repository_url = of(
        Project, "repository_url", mono=True, label="Repository",
        help_text="HTTPS or SSH address, without user name or token.",
    )  # fmt: skip
    default_branch = of(Project, "default_branch", mono=True, label="Default branch")
    credential_kind = forms.ChoiceField(label="Access", choices=ACCESS)
    credential = forms.CharField(
        label="Token or private key", required=False, widget=Unseen(3), strip=False, max_length=20_000,
        help_text="Kept encrypted, never shown again. A private key: all of it, made without a passphrase.",
    )  # fmt: skip
    slack_channel = of(
        Project, "slack_channel", mono=True, label="Slack channel",
        help_text="For messages about deploys, e.g. #deploys.",
    )  # fmt: skip
    group = of(
        Project,
        "group",
        label="Group",
        help_text="The board can show the projects of one group alone, e.g. a team.",
    )
    allot_usual = forms.BooleanField(
        label="Allot what projects usually own", required=False, initial=True, widget=Switch(),
        help_text="Namespaces <short name>-*, secrets <short name>/* and */<short name>/*, repositories <short name>/*: its "
        "maintainers may use these. More under Admin, Allotments.",
    )  # fmt: skip
    layout: tuple[tuple[str, ...], ...] = (
        ("name", "slug"),
        ("repository_url", "default_branch"),
        ("credential_kind",),
        ("credential",),
        ("slack_channel", "group"),
        ("allot_usual",),
    )

    def clean_credential_kind(self) -> str:
        """The model's word."""
        chosen = self.cleaned_data["credential_kind"]
        return "" if chosen == PUBLIC else str(chosen)

    def clean_credential(self) -> str:
        """Normalizes the line ends of a key; blank text becomes empty."""
        text = self.cleaned_data["credential"].replace("\r\n", "\n")
        return text if text.strip() else ""

    def clean_slug(self) -> str:
        return unused(Project.objects.all(), self.cleaned_data["slug"], "a project")


PLACEHOLDER_CHOICES = (
    ("usual", "As usual: production stops, others warn"), ("stop", "Stop the deploy"), ("warn", "Warn"),
)  # fmt: skip


# Field of the form → right on the environment's secrets (projects/secret_rights.py).
SECRET_RIGHTS: dict[str, secret_rights.Right] = {
    "may_see": "names",
    "may_reveal": "reveal",
    "may_edit": "edit",
    "may_approve": "approve",
}


def right_field(right: secret_rights.Right, label: str, help_text: str = "") -> forms.ChoiceField:
    """The weakest role that has a right; empty in a new environment: the default."""
    usual = Role(default_secret_rights()[right])
    choices = [
        ("", f"As usual: {usual.label.lower()}s and stronger"),
        *((role.value, f"{role.label}s and stronger") for role in Role),
    ]
    return forms.ChoiceField(choices=choices, label=label, required=False, help_text=help_text)


class EnvironmentForm(CheckedForm):
    """An environment: new, or an existing one (then without the slug)."""

    name = of(
        Environment,
        "name",
        label="Name",
        required=False,
        help_text="As people read it; the short name if empty.",
    )
    slug = slug_field(Environment, hint="In addresses and on the cluster, e.g. staging. It never changes.")
    order = of(
        Environment,
        "order",
        label="Order",
        required=False,
        initial=None,  # after the others
        help_text="Lower ones stand further left on the board.",
    )
    is_production = of(
        Environment,
        "is_production",
        label="Production",
        widget=Switch(),
        help_text="Marked as such wherever it shows",
    )
    cluster = forms.ModelChoiceField(Cluster.objects.current(), label="Cluster", empty_label="Choose…")
    namespace = of(Environment, "namespace", mono=True, label="Namespace")
    config_directory = of(
        Environment, "config_directory", mono=True, label="Config directory",
        help_text="In the repository, e.g. kubernetes/staging.",
    )  # fmt: skip
    slack_channel = of(
        Environment, "slack_channel", mono=True, label="Slack channel", help_text="Instead of the project's."
    )
    pull_secret = of(Environment, "pull_secret", mono=True, label="Pull secret")
    placeholders = forms.ChoiceField(label="Placeholder values in secrets", choices=PLACEHOLDER_CHOICES)
    deploy_timeout = of(
        Environment, "deploy_timeout", label="Time limit of a deploy (seconds)", min_value=30,
        help_text="Then it ends as timed out.",
    )  # fmt: skip
    automatic_rollback = forms.BooleanField(
        required=False, label="Roll back by itself", widget=Switch(),
        help_text="When a deploy fails on the cluster, a rollback to the last good release follows at once. "
        "None follows a deploy that was cancelled, timed out or met an outage, nor a failed rollback.",
    )  # fmt: skip
    auto_deploy = forms.CharField(
        label="Deploy green builds of", required=False, max_length=LONGEST_PATTERN, widget=forms.TextInput({"class": "mono"}),
        help_text="A branch, e.g. main, or a pattern, e.g. release/*: each newer build of it that succeeds from now on is "
        "deployed here by itself. Empty: only people deploy. After a deploy or rollback by a person the next green build "
        "is meant. What the rule did last stands on the environment's page.",
    )  # fmt: skip
    settle_seconds = forms.IntegerField(
        label="Watch pods without a readiness probe (seconds)", required=False, min_value=0, max_value=int(LONGEST_SETTLE),
        help_text=f"Kubernetes takes them for ready as soon as they run. {Settling.seconds:.0f} if empty; 0 does not watch "
        "them. An object may say its own with the annotation slipway.dev/settle.",
    )  # fmt: skip
    no_min_ready = forms.BooleanField(
        required=False, label="Add no minReadySeconds", widget=Switch(),
        help_text="Else workloads that set none and have such a container get that time, so that their old pods serve on "
        "until the new ones have lasted that long.",
    )  # fmt: skip
    secret_requests = forms.BooleanField(
        required=False, label="Changes of secrets are asked for", widget=Switch(),
        help_text="A change waits until another person, who may approve, has looked at it.",
    )  # fmt: skip
    watch_seconds = forms.IntegerField(
        label="Watch after a deploy (seconds)", required=False, min_value=0, max_value=LONGEST_WATCH,
        help_text=f"A workload that fails within that time is told with the deploy. {WATCH_SECONDS} if empty; 0 is off: then, "
        "as later, it is told when it has failed for a minute.",
    )  # fmt: skip
    may_see = right_field(
        "names", "Names of secret keys are seen by", "Others see only how many keys there are."
    )
    may_reveal = right_field("reveal", "Secret values are revealed by")
    may_edit = right_field("edit", "Secret values are changed by")
    may_approve = right_field("approve", "Changes of secrets are approved by")
    layout = (
        ("name", "slug"), ("cluster", "namespace"), ("config_directory", "order"), ("is_production",),
        ("deploy_timeout", "placeholders"), ("automatic_rollback",), ("auto_deploy",), ("settle_seconds", "no_min_ready"),
        ("watch_seconds",),
        ("slack_channel", "pull_secret"),
        ("may_see", "may_reveal"), ("may_edit", "may_approve"), ("secret_requests",),
    )  # fmt: skip

    def __init__(self, *args: Any, project: Project, existing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        if existing:
            del self.fields["slug"]
            self.fields["placeholders"].choices = PLACEHOLDER_CHOICES[1:]  # type: ignore[attr-defined]
            for name in SECRET_RIGHTS:
                self.fields[name].choices = self.fields[name].choices[1:]  # type: ignore[attr-defined]
            self.fields["order"].required = True

    def clean_slug(self) -> str:
        return unused(self.project.environments.all(), self.cleaned_data["slug"], "an environment")

    def clean_name(self) -> str:
        return (
            self.cleaned_data["name"]
            or self.data.get(self.add_prefix("slug"), "")
            or self.initial.get("name", "")
        )

    def values(self, *without: str) -> dict[str, Any]:
        values = super().values("placeholders", *SECRET_RIGHTS, *without)
        chosen = self.cleaned_data["placeholders"]
        given = {
            right: self.cleaned_data[name] for name, right in SECRET_RIGHTS.items() if self.cleaned_data[name]
        }
        rights = {"secret_rights": given} if given else {}
        return {**values, **rights, "placeholders_stop": None if chosen == "usual" else chosen == "stop"}

    @staticmethod
    def initial_of(environment: Environment) -> dict[str, Any]:
        """The initial values of an existing environment's form."""
        names = (
            "name", "order", "is_production", "cluster", "namespace", "config_directory", "slack_channel",
            "deploy_timeout", "edited",
        )  # fmt: skip
        return {
            **{name: getattr(environment, name) for name in names},
            "pull_secret": environment.pull_secret,
            "auto_deploy": environment.auto_deploy,
            "settle_seconds": environment.policies.get("settle_seconds"),
            "watch_seconds": environment.policies.get("watch_seconds"),
            **{name: bool(environment.policies.get(name)) for name in POLICIES},
            "placeholders": "stop" if environment.placeholders_stop else "warn",
            **{
                name: secret_rights.role_for(environment, right).value
                for name, right in SECRET_RIGHTS.items()
            },
        }


class ImageForm(CheckedForm):
    """An image: new, or an existing one (then without the name)."""

    name = slug_field(Image, "name", "Name", "In manifests as ${IMAGE_<NAME>}, e.g. web. It never changes.")
    registry = forms.ModelChoiceField(Registry.objects.current(), label="Registry", empty_label="Choose…")
    repository = of(
        Image, "repository", mono=True, label="Repository in the registry", help_text="e.g. storefront/web"
    )
    dockerfile = of(Image, "dockerfile", mono=True, label="Dockerfile")
    context = of(
        Image,
        "context",
        mono=True,
        label="Build context",
        help_text="A directory of the repository; “.” is its root.",
    )
    layout = (("name",), ("registry", "repository"), ("dockerfile", "context"))

    def __init__(self, *args: Any, project: Project, existing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        if existing:
            del self.fields["name"]

    def clean_name(self) -> str:
        return unused(self.project.images.all(), self.cleaned_data["name"], "an image", "name")


class SecretsFileForm(CheckedForm):
    """A secrets file: new, or an existing one (then without the environment)."""

    environment = forms.ModelChoiceField(
        Environment.objects.none(), label="Environment", empty_label="Choose…"
    )
    path = of(SecretsFile, "path", mono=True, label="Reference file")
    secret_id = of(SecretsFile, "secret_id", mono=True, label="Secret in AWS")
    region = of(SecretsFile, "region", mono=True, label="Region")
    role_arn = of(
        SecretsFile, "role_arn", mono=True, label="Role to assume", help_text="ARN; only for another account."
    )
    layout = (("environment", "path"), ("secret_id", "region"), ("role_arn",))

    def __init__(self, *args: Any, project: Project, existing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if existing:
            del self.fields["environment"]
        else:
            self.fields["environment"].queryset = project.environments.current()  # type: ignore[attr-defined]


class MemberForm(CheckedForm):
    """A role for a person."""

    user = forms.ModelChoiceField(User.objects.filter(is_active=True), label="Person", empty_label="Choose…")
    environment = forms.ModelChoiceField(
        Environment.objects.none(), label="Where", required=False, empty_label="The whole project"
    )
    role = forms.ChoiceField(choices=Role.choices, label="Role")
    layout = (("user", "environment"), ("role",))

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["environment"].queryset = project.environments.current()  # type: ignore[attr-defined]
