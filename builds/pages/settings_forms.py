"""The forms of a project's build settings. They validate input; `builds/changing.py` checks rights and rules."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from builds.changing import (
    arguments_problem,
    mount_problem,
    platform_problem,
    policy_problem,
    target_problem,
)
from builds.models import BuildSecret, BuildSettings, Recipe
from builds.patterns import problem_of
from projects.models import Project
from projects.pages.checked_form import CheckedForm, of, unused
from ui.formrender import Switch
from ui.forms import Unseen

_MONO = {"class": "mono", "autocapitalize": "off", "spellcheck": "false", "autocomplete": "off"}


def accepted(text: str, problem_with: Callable[[str], str]) -> str:
    """The text. Raises ValidationError when there is a problem with it."""
    if problem := problem_with(text):
        raise ValidationError(problem)
    return text


class Lines(forms.CharField):
    """A list of texts, one in each line. Empty lines do not count."""

    def __init__(self, label: str, help_text: str, *, rows: int = 3) -> None:
        super().__init__(
            label=label, help_text=help_text, required=False, max_length=20_000,
            widget=forms.Textarea({**_MONO, "rows": rows}),
        )  # fmt: skip

    def prepare_value(self, value: Any) -> Any:
        """The text of a stored list."""
        return "\n".join(value) if isinstance(value, (list, tuple)) else value

    def clean(self, value: Any) -> Any:
        """The list. Raises ValidationError for patterns that cannot be used."""
        text = super().clean(value)
        found = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        self.check(found)
        return found

    def check(self, found: list[str]) -> None:
        """Raises ValidationError for patterns that cannot be used."""
        if problem := problem_of(found):
            raise ValidationError(problem)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compares the texts, whatever their line ends."""
        return str(self.prepare_value(initial) or "").split() != str(data or "").split()


class RulesForm(CheckedForm):
    """When a project builds, and how many builds go on together."""

    on_push = forms.BooleanField(
        label="Build every push", required=False, widget=Switch(),
        help_text="As the rules below say. Off: builds are only made when a person asks.",
    )  # fmt: skip
    branches = Lines("Branches", "One pattern a line; * stands for any text. Empty: the default branch.")
    tags = Lines("Tags", "Empty: pushes of tags are not built.")
    watch = Lines(
        "Watched paths", "A push is built when one of these changed. Empty: all. A folder means all below it."
    )
    ignore = Lines("Ignored paths", "A push that only changed these is not built, e.g. docs or *.md.")
    timeout = of(BuildSettings, "timeout", label="Time limit of a build (seconds)")
    at_once = of(
        BuildSettings, "at_once", label="Builds at once", help_text="Of this project; others wait in line."
    )
    side_by_side = of(
        BuildSettings, "side_by_side", label="Images side by side", help_text="Within one build."
    )
    creates_repositories = forms.BooleanField(
        label="Create missing repositories in ECR", required=False, widget=Switch(),
        help_text="The first push of an image makes its repository, with the lifecycle policy below.",
    )  # fmt: skip
    lifecycle_policy = forms.CharField(
        label="Lifecycle policy (JSON of ECR)", required=False, widget=forms.Textarea({**_MONO, "rows": 5}),
        help_text="For repositories that are created. Empty: none, so that images are kept for ever.",
    )  # fmt: skip
    layout = (
        ("on_push",), ("branches", "tags"), ("watch", "ignore"), ("timeout", "at_once"), ("side_by_side",),
        ("creates_repositories",), ("lifecycle_policy",),
    )  # fmt: skip

    def clean_lifecycle_policy(self) -> str:
        """Refuses what ECR would not take for a policy."""
        text = self.cleaned_data["lifecycle_policy"].strip()
        if problem := policy_problem(text):
            raise ValidationError(problem)
        return str(text)

    @staticmethod
    def initial_of(stored: BuildSettings) -> dict[str, Any]:
        """The initial values of a project's stored settings; `edited` is 0 for settings that are not stored."""
        names = (
            "on_push", "branches", "tags", "watch", "ignore", "timeout", "at_once", "side_by_side",
            "creates_repositories", "lifecycle_policy", "edited",
        )  # fmt: skip
        return {name: getattr(stored, name) for name in names}


class KeysForm(CheckedForm):
    """The project's own webhook secret and GitHub token. Neither is ever shown."""

    webhook_secret = forms.CharField(
        label="Webhook secret", required=False, widget=Unseen(2), max_length=500,
        help_text="The same text as in the webhook's settings at GitHub, e.g. from the command “openssl rand -hex 32”.",
    )  # fmt: skip
    forget_webhook_secret = forms.BooleanField(
        label="Forget the stored one", required=False, help_text="Then the site's counts."
    )
    github_token = forms.CharField(
        label="GitHub token", required=False, widget=Unseen(2), max_length=500,
        help_text="For commit statuses and deployments; it needs these two rights on this repository alone.",
    )  # fmt: skip
    forget_github_token = forms.BooleanField(
        label="Forget the stored token", required=False, help_text="Then the site's counts."
    )
    layout = (("webhook_secret",), ("forget_webhook_secret",), ("github_token",), ("forget_github_token",))

    def clean(self) -> dict[str, Any]:
        """One cannot be stored and forgotten at once."""
        found = super().clean()
        for name in ("webhook_secret", "github_token"):
            if found.get(name) and found.get(f"forget_{name}"):
                self.add_error(name, "Leave this empty, or do not forget it.")
        return found


class Arguments(Lines):
    """Build arguments, `NAME=value` in each line."""

    def prepare_value(self, value: Any) -> Any:
        """The text of the stored list."""
        return (
            "\n".join(f"{one['name']}={one['value']}" for one in value) if isinstance(value, list) else value
        )

    def clean(self, value: Any) -> Any:
        """The list of {name, value}."""
        text = forms.CharField.clean(self, value)
        rows = [line.strip() for line in text.splitlines() if line.strip()]
        if wrong := next((line for line in rows if "=" not in line), None):
            raise ValidationError(f"“{wrong[:40]}” has no “=”. Write NAME=value.")
        pairs = (line.split("=", 1) for line in rows)
        found = [{"name": name.strip(), "value": value} for name, value in pairs]
        if problem := arguments_problem(found):
            raise ValidationError(problem)
        return found


class RecipeForm(CheckedForm):
    """How an image is built."""

    is_built = forms.BooleanField(
        label="Built here", required=False, widget=Switch(),
        help_text="Off: another tool builds it; the command “manage.py report_build” tells the portal of each build.",
    )  # fmt: skip
    target = of(
        Recipe, "target", mono=True, label="Target stage", help_text="Of the Dockerfile. Empty: the last one."
    )
    platform = of(
        Recipe,
        "platform",
        mono=True,
        label="Platform",
        help_text="e.g. linux/amd64. Empty: the engine's own.",
    )
    arguments = Arguments(
        "Build arguments", "NAME=value, one a line. They stay readable in the image: no secrets here.", rows=5
    )
    layout = (("is_built",), ("target", "platform"), ("arguments",))

    def clean_target(self) -> str:
        """Refuses what is no name of a stage."""
        return accepted(self.cleaned_data["target"], target_problem)

    def clean_platform(self) -> str:
        """Refuses what is no platform."""
        return accepted(self.cleaned_data["platform"], platform_problem)

    @staticmethod
    def initial_of(stored: Recipe) -> dict[str, Any]:
        """The initial values of a stored recipe."""
        return {
            name: getattr(stored, name) for name in ("is_built", "target", "platform", "arguments", "edited")
        }


class SecretForm(CheckedForm):
    """A value of AWS that Dockerfiles mount."""

    name = of(
        BuildSecret, "name", mono=True, label="Id of the mount",
        help_text="As in RUN --mount=type=secret,id=npm-token",
    )  # fmt: skip
    secret_id = of(BuildSecret, "secret_id", mono=True, label="AWS secret", help_text="Its name or ARN.")
    key = of(
        BuildSecret, "key", mono=True, label="Key",
        help_text="Of a flat JSON object, or <Secret's name>/<key> of a Secret file. Empty: the whole text.",
    )  # fmt: skip
    region = of(BuildSecret, "region", mono=True, label="Region")
    role_arn = of(BuildSecret, "role_arn", mono=True, label="Role to assume")
    layout = (("name",), ("secret_id", "key"), ("region", "role_arn"))

    def __init__(
        self, *args: Any, project: Project, existing: BuildSecret | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.others = project.build_secrets.all()
        if existing is not None:
            self.others = self.others.exclude(pk=existing.pk)

    def clean_name(self) -> str:
        """The id, which a Dockerfile names."""
        name: str = self.cleaned_data["name"]
        if problem := mount_problem(name):
            raise ValidationError(problem)
        return unused(self.others, name, "a build secret", "name")

    def clean_region(self) -> str:
        """Refuses what is no region of AWS."""
        region: str = self.cleaned_data["region"]
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region):
            raise ValidationError("Write an AWS region, e.g. eu-west-2.")
        return region
