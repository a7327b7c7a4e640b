"""Forms for many values at once. None is shown again with a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from secrets_ui.bulk.importing import MAX_TEXT
from secrets_ui.pages.forms import OneFile
from ui.forms import Unseen


class ImportForm(forms.Form):
    """A text with values, pasted or as a file, and which Secret of the file it is for."""

    of = forms.ChoiceField(required=False, label="For the Secret")
    text = forms.CharField(
        required=False, strip=False, label="Paste", widget=Unseen(rows=10),
        help_text="A .env text, a YAML mapping, a JSON object, or a Kubernetes Secret file. The form is recognised.",
    )  # fmt: skip
    file = OneFile()

    def __init__(self, *args: Any, secrets: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["file"].label = "Or a file"
        self.fields["text"].widget.attrs["autofocus"] = True
        self.fields["text"].error_messages["null_characters_not_allowed"] = "A text holds no NUL."
        self.only = secrets[0] if len(secrets) == 1 else ""
        if len(secrets) > 1:
            self.fields["of"].choices = [(name, name) for name in secrets]  # type: ignore[attr-defined]
        else:
            del self.fields["of"]

    def clean(self) -> dict[str, Any]:
        """Exactly one of text and file. `content`: bytes of the file, or None."""
        data: dict[str, Any] = {"of": self.only, **(super().clean() or {})}
        given = data.get("file")
        if given is not None and given.size > MAX_TEXT:
            raise forms.ValidationError({"file": f"A file of up to {MAX_TEXT:,} bytes is taken."})
        data["content"] = bytes(given.read()) if given is not None else None
        if not self.errors and (given is None) == (not data.get("text", "").strip()):
            problem = (
                "Paste the values, or choose a file."
                if given is None
                else "Paste the values or choose a file, not both."
            )
            raise forms.ValidationError({"text": problem})
        return data


class DownloadForm(forms.Form):
    """In what form, and on production why."""

    ENV, SECRET = "env", "secret"

    form = forms.ChoiceField(
        label="As", widget=forms.RadioSelect, initial=SECRET,
        choices=[(SECRET, "A Kubernetes Secret file: any value fits"), (ENV, "A .env text: text values only")],
    )  # fmt: skip
    of = forms.ChoiceField(required=False, label="Which Secret, for a .env text")
    leave_out = forms.BooleanField(
        required=False,
        label="Leave out keys that it cannot carry",
        help_text="In a .env text a comment names each of them.",
    )
    reason = forms.CharField(
        label="Why do you need all values?", max_length=300, help_text="Kept in the audit with your name.",
        error_messages={"required": "Say why you need all values. Nothing was given out."},
    )  # fmt: skip

    def __init__(self, *args: Any, secrets: Sequence[str], needs_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(secrets) > 1:
            self.fields["of"].choices = [(name, name) for name in secrets]  # type: ignore[attr-defined]
        else:
            del self.fields["of"]
        if not needs_reason:
            del self.fields["reason"]

    def clean(self) -> dict[str, Any]:
        """What was not asked for is empty."""
        return {"of": "", "reason": "", **(super().clean() or {})}
