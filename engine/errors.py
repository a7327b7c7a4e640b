"""The root of every error that Slipway raises on purpose.

It stands on the lowest floor so that the engine, the adapters and the Django apps share one family: whoever shows an
error needs to know only `message` and `hint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """Why something cannot be deployed, for those who mend it. `code`: one stable word; `name`: of the variable, namespace,
    Secret; `place`: the secrets file, or the namespace of the Secret."""

    code: str
    name: str = ""
    place: str = ""


class SlipwayError(Exception):
    """Something went wrong that a person can be told about.

    `message`: what happened and what was not changed, in a plain sentence. `hint`: what to do next, or empty.
    Neither holds a secret value. `code`: one stable word for machines, by kind of error. `key_names`: names of secret keys that
    a sentence of this error leaves out, by that sentence: not everybody may see them. `why`: the cause, by sentence, where a
    page knows how to mend it.
    """

    code: str = "failed"

    def __init__(
        self, message: str, *, hint: str = "", key_names: Mapping[str, tuple[str, ...]] | None = None,
        why: Mapping[str, Cause] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.key_names = dict(key_names or {})
        self.why = dict(why or {})


class ManifestError(SlipwayError):
    """The config directory, or a secrets file, is not what a deploy needs. `problems` lists every finding.

    A problem is written `file:line: what is wrong`, so that one look at the file is enough.
    """

    code = "manifest"

    def __init__(
        self, message: str, *, problems: tuple[str, ...] = (), hint: str = "",
        key_names: Mapping[str, tuple[str, ...]] | None = None, why: Mapping[str, Cause] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message, hint=hint, key_names=key_names, why=why)
        self.problems = problems


class Stop(SlipwayError):
    """Base of what an observer raises to stop the engine. `patience`: for how many seconds the engine then waits for requests
    under way, so that none of them writes after the end."""

    patience: float = 35.0  # more than the longest request takes
