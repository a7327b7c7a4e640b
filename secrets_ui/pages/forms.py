"""Forms of secrets. None is shown again with what was typed: that waits in the draft of its person."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from engine.manifests.secretfiles import strict_base64
from projects.models import SecretsFile
from secrets_ui.editing.staging import MAX_BYTES, too_long
from secrets_ui.known.public import CRLF, Key, Place, place_of
from secrets_ui.known.rights import is_production
from secrets_ui.values.random_values import KINDS, MAX_LENGTH, MIN_LENGTH, random_value
from secrets_ui.values.secret_types import TYPES
from ui.forms import Unseen

TEXT, BASE64 = "text", "base64"
REVIEW = "review"  # the page to which a button goes back
REASON = "Say in a few words why; those who look at this version in a year will ask."


class OneFile(forms.FileField):
    """A file of any content, an empty one, too."""

    def __init__(self) -> None:
        super().__init__(required=False, allow_empty_file=True)


class PlaceForm(forms.Form):
    """Which key: `app/TOKEN`."""

    place = forms.CharField(max_length=800)

    def clean_place(self) -> Place:
        """Secret and key."""
        return place_of(self.cleaned_data["place"])


class GivenForm(forms.Form):
    """A value: typed, as base64, from a file, or made at random. `do`: the button that was pressed."""

    SET, RANDOM = "set", "random"

    value = forms.CharField(required=False, strip=False, widget=Unseen(rows=4))
    encoding = forms.ChoiceField(required=False, choices=[(TEXT, "text"), (BASE64, "base64")])
    file = OneFile()
    do = forms.CharField(required=False, max_length=20)
    random_kind = forms.ChoiceField(required=False, choices=[(kind, kind) for kind in KINDS])
    random_length = forms.IntegerField(required=False, min_value=MIN_LENGTH, max_value=MAX_LENGTH)

    def __init__(self, *args: Any, keys: Mapping[Place, Key] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keys = keys or {}
        self.fields["value"].error_messages["null_characters_not_allowed"] = (
            "A text holds no NUL. Give a binary value as a file."
        )

    @property
    def wanted(self) -> bytes:
        """The value as it is to be stored; the form must be valid."""
        result: bytes = self.cleaned_data["wanted"]
        return result

    def clean(self) -> dict[str, Any]:
        """Makes the bytes of what was given."""
        data: dict[str, Any] = super().clean() or {}
        if not self.errors:
            data["wanted"] = self._bytes(data)
            if problem := too_long(data["wanted"]):
                raise forms.ValidationError({"value": problem})
        return data

    def _bytes(self, data: Mapping[str, Any]) -> bytes:
        if data.get("do") == self.RANDOM:
            return random_value(data.get("random_kind") or next(iter(KINDS)), data.get("random_length") or 32)
        if data.get("file") is not None:
            if data["file"].size > MAX_BYTES:
                raise forms.ValidationError(
                    {"file": f"A file of up to {MAX_BYTES:,} bytes fits into a secret."}
                )
            return bytes(data["file"].read())
        if data.get("encoding") == BASE64:
            decoded = strict_base64(data["value"])
            if decoded is None:
                raise forms.ValidationError({"value": "This is not base64. Nothing of it was kept."})
            return decoded
        return self._typed(data["value"])

    def _typed(self, text: str) -> bytes:
        """Browsers send every line end as CR LF: it is stored as LF, unless the old value has CR LF."""
        plain = text.replace("\r\n", "\n")
        return (plain.replace("\n", "\r\n") if self._keeps_windows_ends() else plain).encode()

    def _keeps_windows_ends(self) -> bool:
        key = self.keys.get(self.cleaned_data.get("place", ("", "")))
        return key is not None and key.breaks == CRLF


class ValueForm(GivenForm, PlaceForm):
    """A value for a key."""


class AddForm(GivenForm):
    """A new key with its value. `of`: the name of its Secret. `kept`: the value of a try before this one is to be taken."""

    of = forms.CharField(required=False, max_length=300)
    key = forms.CharField(max_length=253, error_messages={"required": "Write the name of the key."})
    kept = forms.BooleanField(required=False)


class RenameForm(PlaceForm):
    """Another name for a key."""

    to = forms.CharField(max_length=253, error_messages={"required": "Write the new name."})


class RevealForm(PlaceForm):
    """A value to be seen. `how`: shown (in what form), copied, or downloaded. `back`: the page with the button."""

    SHOWN, COPIED, DOWNLOADED = "shown", "copied", "downloaded"

    reason = forms.CharField(required=False, max_length=300)
    back = forms.CharField(required=False, max_length=10)
    how = forms.ChoiceField(
        required=False, choices=[(SHOWN, SHOWN), (BASE64, BASE64), (COPIED, COPIED), (DOWNLOADED, DOWNLOADED)]
    )


class MendForm(PlaceForm):
    """One mend by its code. `back`: the page with the button."""

    code = forms.CharField(max_length=40)
    back = forms.CharField(required=False, max_length=10)


class SaveForm(forms.Form):
    """Why, and for production the environment's name where keys go away. `save_id` makes a double click one save."""

    comment = forms.CharField(
        label="Why?", max_length=300, widget=forms.Textarea({"rows": 2}), error_messages={"required": REASON},
        help_text="Shown in the list of versions and in the audit. No values here, please.",
    )  # fmt: skip
    save_id = forms.UUIDField(widget=forms.HiddenInput)
    confirm = forms.CharField(required=False, max_length=50)

    def __init__(self, *args: Any, file: SecretsFile, removes: int = 0, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"save_id": uuid.uuid4()})
        super().__init__(*args, **kwargs)
        self.asks = file.environment.slug if removes and is_production(file) else ""
        if not self.asks:
            del self.fields["confirm"]
            return
        what = "1 key" if removes == 1 else f"{removes} keys"
        self.fields["confirm"].label = f"Type {self.asks} to remove {what}"
        self.fields["confirm"].required = True

    def clean_confirm(self) -> str:
        """The environment's slug."""
        typed: str = self.cleaned_data["confirm"]
        if typed.strip().lower() != self.asks:
            raise forms.ValidationError(f"Type {self.asks} to confirm. Nothing was saved.")
        return typed


class RestoreForm(forms.Form):
    """Which version comes back, over which, and why."""

    version = forms.CharField(max_length=64)
    over = forms.CharField(max_length=64)
    save_id = forms.UUIDField(widget=forms.HiddenInput)
    comment = forms.CharField(max_length=300, error_messages={"required": REASON})


class CreateForm(forms.Form):
    """Why the secret is made."""

    comment = forms.CharField(label="Why?", max_length=200, error_messages={"required": REASON})


class ThirdForm(GivenForm):
    """A third value for a key that two people changed. `key`: as it is stored now."""

    def __init__(self, *args: Any, key: Key | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stored = key

    def clean(self) -> dict[str, Any]:
        """A blank one is refused: it is rather a value that was forgotten."""
        data = super().clean()
        if not self.errors and not data["wanted"] and data.get("file") is None:
            raise forms.ValidationError("Type the third value, or give a file.")
        return data

    def _keeps_windows_ends(self) -> bool:
        return self.stored is not None and self.stored.breaks == CRLF


class NewSecretForm(GivenForm):
    """A whole Secret with its first key. `kept`: the value of a try before this one is to be taken."""

    name = forms.CharField(max_length=253, error_messages={"required": "Write the name of the Secret."})
    type = forms.ChoiceField(choices=[(name, name) for name in TYPES])
    key = forms.CharField(required=False, max_length=253)
    kept = forms.BooleanField(required=False)


MINE, THEIRS, THIRD = "mine", "theirs", "third"


def decisions(data: Mapping[str, Any], clashes: Sequence[Place]) -> dict[Place, str]:
    """For each clash that was decided, whose value stays: fields `side-0`, `side-1`, in the order of the page."""
    chosen = {place: str(data.get(f"side-{at}", "")) for at, place in enumerate(clashes)}
    return {place: side for place, side in chosen.items() if side in (MINE, THEIRS, THIRD)}


class CopyForm(PlaceForm):
    """Which key goes where, and out of production also why."""

    to = forms.TypedChoiceField(label="To", coerce=int)
    reason = forms.CharField(
        label="Why does it leave production?", max_length=300, help_text="Kept in the audit with your name.",
        error_messages={"required": "Say why this value leaves production. Nothing was copied."},
    )  # fmt: skip

    def __init__(self, *args: Any, targets: Sequence[SecretsFile], needs_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["place"].widget = forms.HiddenInput()
        self.fields["to"].choices = [(file.pk, f"{file.environment.name}: {file.path}") for file in targets]  # type: ignore[attr-defined]
        if not needs_reason:
            del self.fields["reason"]

    def clean(self) -> dict[str, Any]:
        """The reason is empty where none is asked for."""
        data: dict[str, Any] = super().clean() or {}
        return {"reason": "", **data}


class DecideForm(forms.Form):
    """What becomes of a request, and why. `do`: the button that was pressed."""

    APPROVE, REFUSE, WITHDRAW = "approve", "refuse", "withdraw"

    do = forms.ChoiceField(
        choices=[(APPROVE, APPROVE), (REFUSE, REFUSE), (WITHDRAW, WITHDRAW)], widget=forms.HiddenInput
    )
    note = forms.CharField(
        required=False, max_length=300, label="Why?", help_text="Needed to refuse. No values here, please."
    )


class SideForm(PlaceForm):
    """One value of a request: before or after it."""

    BEFORE, AFTER = "before", "after"

    side = forms.ChoiceField(choices=[(BEFORE, BEFORE), (AFTER, AFTER)])
    reason = forms.CharField(required=False, max_length=300)
