"""Short ways to make and edit secrets files in tests."""

from __future__ import annotations

import base64

import pytest

from secrets_ui.files.edit import apply_edits
from secrets_ui.files.edits import Edit, EditError
from secrets_ui.files.model import open_text

HEAD = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\n"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def edit(text: str, **edits: Edit) -> str:
    """Edits of the first Secret; `_` in a name stands for `.`."""
    return apply_edits(open_text(text), {(0, key.replace("_", ".")): made for key, made in edits.items()})


def refused(text: str, **edits: Edit) -> str:
    """Why the only edit was refused."""
    with pytest.raises(EditError) as caught:
        edit(text, **edits)
    (problem,) = caught.value.problems.values()
    return problem
