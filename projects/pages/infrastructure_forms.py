"""The forms of clusters and registries."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from projects.models import Cluster, Registry
from projects.pages.checked_form import CheckedForm, EitherField, of, slug_field, unused
from ui.forms import Unseen

KUBECONFIG_BYTES = 1_000_000


class ClusterForm(CheckedForm):
    """A cluster: new, or an existing one (then without the slug, and an empty kubeconfig keeps the stored one)."""

    name = of(Cluster, "name", label="Name")
    slug = slug_field(Cluster, hint="In addresses, e.g. apps-lon1. It never changes.")
    notice = of(
        Cluster,
        "notice",
        label="Notice",
        help_text="Shown wherever the cluster shows, e.g. a planned upgrade.",
    )
    kubeconfig = EitherField(
        label="Kubeconfig", widget=Unseen(8), max_length=KUBECONFIG_BYTES,
        help_text="With a ServiceAccount's token or client certificate data. Kept encrypted, never shown again.",
    )  # fmt: skip
    kubeconfig_file = forms.FileField(label="Or as a file", required=False, max_length=200)
    layout = (("name", "slug"), ("notice",), ("kubeconfig",), ("kubeconfig_file",))

    def __init__(self, *args: Any, existing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.existing = existing
        if existing:
            del self.fields["slug"]
            self.fields["kubeconfig"].required = False

    def clean_slug(self) -> str:
        return unused(Cluster.objects.all(), self.cleaned_data["slug"], "a cluster")

    def clean_kubeconfig_file(self) -> str:
        """The text of the file."""
        file = self.cleaned_data["kubeconfig_file"]
        if not file:
            return ""
        if file.size > KUBECONFIG_BYTES:
            raise ValidationError("A kubeconfig is never larger than 1 MB.")
        try:
            return str(file.read().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise ValidationError("This file is no text, so no kubeconfig.") from error

    def clean(self) -> dict[str, Any]:
        """One of text and file, not both."""
        data = super().clean()
        typed, file = data.get("kubeconfig", ""), data.pop("kubeconfig_file", "")
        if typed and file:
            self.add_error("kubeconfig", "Paste it or choose a file, not both.")
        elif not self.errors.keys() & {"kubeconfig", "kubeconfig_file"}:
            data["kubeconfig"] = typed or file
            if not data["kubeconfig"] and not self.existing:
                self.add_error("kubeconfig", "Paste the kubeconfig or choose its file.")
        return data


class RegistryForm(CheckedForm):
    """A registry: new, or an existing one (then without the slug)."""

    name = of(Registry, "name", label="Name")
    slug = slug_field(Registry, hint="In addresses, e.g. ecr-london. It never changes.")
    endpoint = of(
        Registry, "endpoint", mono=True, label="Address", assume_scheme="https",
        help_text="Manifests contain its host, e.g. https://123456789012.dkr.ecr.eu-west-2.amazonaws.com",
    )  # fmt: skip
    account = of(Registry, "account", mono=True, label="AWS account")
    region = of(Registry, "region", mono=True, label="Region")
    role_arn = of(
        Registry, "role_arn", mono=True, label="Role to assume", help_text="ARN; only for another account."
    )
    layout = (("name", "slug"), ("endpoint",), ("account", "region"), ("role_arn",))

    def __init__(self, *args: Any, existing: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if existing:
            del self.fields["slug"]

    def clean_slug(self) -> str:
        return unused(Registry.objects.all(), self.cleaned_data["slug"], "a registry")
