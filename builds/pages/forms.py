"""Forms of builds. They validate input; `builds.requests` and `builds.services` check rights and rules."""

from __future__ import annotations

from django import forms


class AgainForm(forms.Form):
    """The idempotency key of a button, which makes a double click one request."""

    key = forms.CharField(required=False, max_length=50)

    @property
    def key_sent(self) -> str:
        """The key, empty when it is missing or too long."""
        return self.cleaned_data["key"] if self.is_valid() else ""


class BuildForm(forms.Form):
    """A revision of a project to build. `revision`: a commit, branch or tag; `branch`: the one it was picked from."""

    project = forms.CharField(max_length=40, error_messages={"required": "Choose a project."})
    revision = forms.CharField(max_length=200, error_messages={"required": "Choose a revision."})
    branch = forms.CharField(max_length=200, required=False)
    key = forms.CharField(required=False, max_length=50)
