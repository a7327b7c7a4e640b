"""Adds a whole Secret to a file, as a document behind all others, or takes one out with its document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.errors import SlipwayError
from engine.manifests.secretfiles import FLAT
from secrets_ui.files.model import SecretsText
from secrets_ui.files.nodes import line_break
from secrets_ui.files.proof import NotAsMeant, prove_whole, reopened
from secrets_ui.files.writing import secret_lines

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_LONGEST = 253
_ONE_OBJECT = (
    "The file is one JSON object of strings, which stands for one Secret: no other one can be added. Store it as Kubernetes "
    "Secrets to have several."
)
_JSON = "The file is JSON, which holds no further document: a Secret cannot be added here."
_ENDS_ITS_LINES = re.compile(r"(?:\A|[\n\r\x85\u2028\u2029])\Z")


class WholeError(SlipwayError):
    """A Secret cannot be added or taken out; the text was not changed."""

    code = "not-editable"


@dataclass(frozen=True)
class NewSecret:
    """A Secret to be added."""

    name: str
    type: str
    values: Mapping[str, bytes] = field(repr=False)


def name_problem(name: str) -> str:
    """Why Kubernetes would not take this name for a Secret, or nothing."""
    if _NAME.match(name) and len(name) <= _LONGEST:
        return ""
    return (
        "A name has small letters, digits, - and ., and begins and ends with a letter or digit (at most 253)."
    )


def cannot_add(opened: SecretsText, name: str) -> str:
    """Why no Secret of this name can be added to the file, or nothing."""
    if opened.form == FLAT:
        return _ONE_OBJECT
    if opened.tree.json:
        return _JSON
    if opened.find(name) is not None:
        return f"The file holds a Secret {name} already."
    return name_problem(name)


def namespace_for(opened: SecretsText) -> str:
    """The namespace of a new Secret: that of all others, where they have the same one; else none."""
    found = {secret.namespace for secret in opened.secrets}
    return found.pop() if len(found) == 1 else ""


def add_secret(opened: SecretsText, new: NewSecret) -> str:
    """The text with a further document at its end; every byte before stays. Raises WholeError, and NotAsMeant where the end
    of the text does not let it be followed by a document without being read as something else."""
    if problem := cannot_add(opened, new.name):
        raise WholeError(problem)
    end, finished = line_break(opened.body, len(opened.body)), bool(_ENDS_ITS_LINES.search(opened.body))
    namespace = namespace_for(opened)
    lines = ["---", *secret_lines(new.name, new.values, namespace=namespace, type_=new.type)]
    text = opened.text + ("" if finished else end) + end.join(lines) + (end if finished else "")
    after = reopened(text)
    prove_whole(opened, after)
    made = after.secrets[-1]
    if (len(after.secrets), made.name, made.namespace, made.type, made.values()) != (
        len(opened.secrets) + 1, new.name, namespace, new.type, dict(new.values),
    ):  # fmt: skip
        raise NotAsMeant()
    return text


def cannot_remove(opened: SecretsText, index: int) -> str:
    """Why a Secret cannot be taken out of the file, or nothing."""
    if len(opened.secrets) == 1:
        return "It is the only Secret of the file, and a secrets file without one is none."
    if _root(opened, index) is None:
        return "It stands in a list of objects, or comes by an alias: take it out of the file as text."
    return ""


def remove_secret(opened: SecretsText, index: int) -> str:
    """The text without the document of a Secret, from its `---` to the next one; every other byte stays. Raises WholeError,
    NotAsMeant."""
    if problem := cannot_remove(opened, index):
        raise WholeError(problem)
    at = _root(opened, index) or 0
    starts = [root.start for root in opened.tree.roots[at : at + 2]]
    end = starts[1] if len(starts) > 1 else len(opened.body)
    text = opened.mark + opened.body[: starts[0]] + opened.body[end:]
    prove_whole(opened, reopened(text), at)
    return text


def _root(opened: SecretsText, index: int) -> int | None:
    """Which document is this Secret and nothing else."""
    node = opened.secrets[index].node
    return next((at for at, root in enumerate(opened.tree.roots) if root.node is node), None)
