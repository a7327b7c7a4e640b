"""What a dry run tells of one object: what applying it would do, or why the server would refuse it."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import Cause
from engine.manifests.meaning.words import Meaning
from engine.types import Action, ObjectRef


@dataclass(frozen=True)
class Notice:
    """A consequence of applying an object that people should know: a sentence, a hint, the path of the field."""

    text: str
    hint: str = ""
    field: str = ""


@dataclass(frozen=True)
class ObjectChange:
    """The result of one object's dry run. `action` is None where it is not known: refused or deferred."""

    ref: ObjectRef
    action: Action | None
    takes_over: tuple[str, ...] = ()  # managers whose fields become ours
    diff: tuple[str, ...] = ()  # unified diff lines, secret values masked
    meaning: tuple[Meaning, ...] = ()  # the same in words, where a diff was asked for
    error: str = ""
    hint: str = ""
    cause: Cause | None = None  # of the error, where it is known
    conflicts: tuple[str, ...] = ()  # "spec.replicas (set by an autoscaler)"
    deferred: bool = (
        False  # its namespace or kind comes with the same deploy, or its webhook allows no dry run
    )
    field_errors: tuple[str, ...] = ()  # paths of the fields at fault
    told: tuple[str, ...] = ()  # warnings of the API server, in its own words
    warning: str = ""  # about the number of replicas
    warning_hint: str = ""
    notices: tuple[Notice, ...] = ()  # further consequences that people should know
    yielded: str = ""  # a sentence where a field that the portal adds by itself would be left out

    @property
    def warned_field(self) -> str:
        """The path of the field that the warning is about."""
        if self.warning:
            return "spec.replicas"
        return self.notices[0].field if self.notices else ""
