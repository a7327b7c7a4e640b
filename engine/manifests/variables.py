"""Deployment variables: `${NAME}` in the parsed string scalars of a manifest, never in its text.

`$${` stands for a literal `${`. Values stay strings; a scalar that is wholly one variable of type number or boolean
becomes that. What a variable holds is never read as YAML, so no value can add to a manifest or break it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import ManifestError, SlipwayError
from engine.manifests.images import ImagePin

VariableType = Literal["string", "number", "boolean"]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\Z", re.ASCII)
_TOKEN = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{", re.ASCII)
_SHORT = 7  # digits of REVISION_SHORT, as the builds tag images


@dataclass(frozen=True)
class Variable:
    """A name with its value as text. Raises SlipwayError when the value does not fit the type."""

    name: str
    value: str
    type: VariableType = "string"

    def __post_init__(self) -> None:
        if not NAME.match(self.name):
            raise SlipwayError(
                f"“{self.name}” cannot be the name of a variable", hint="Use letters, digits and _."
            )
        if self.type == "number" and not (_NUMBER.match(self.value) and abs(float(self.value)) < 1e300):
            raise SlipwayError(f"The variable {self.name} is of type number, its value is none.")
        if self.type == "boolean" and self.value not in ("true", "false"):
            raise SlipwayError(
                f"The variable {self.name} is of type boolean; its value must be true or false."
            )

    @property
    def typed(self) -> str | int | float | bool:
        """The value as its type says."""
        if self.type == "boolean":
            return self.value == "true"
        if self.type == "number":
            return int(self.value) if re.fullmatch(r"-?[0-9]+", self.value) else float(self.value)
        return self.value


def built_in_variables(
    *,
    project: str,
    environment: str,
    namespace: str,
    revision: str,
    image_tag: str,
    images: Sequence[ImagePin],
) -> list[Variable]:
    """The variables that every deploy has. `revision`: 40 hex digits. IMAGE_<NAME> is the pinned reference."""
    pairs = [
        ("REVISION", revision),
        ("REVISION_SHORT", revision[:_SHORT]),
        ("IMAGE_TAG", image_tag),
        ("ENVIRONMENT", environment),
        ("PROJECT", project),
        ("NAMESPACE", namespace),
        *((f"IMAGE_{re.sub(r'[^A-Z0-9_]', '_', pin.name.upper())}", pin.reference) for pin in images),
    ]
    return [Variable(name, value) for name, value in pairs]


MAX_FILLED = 12_000_000  # characters that variables may add to all objects of a deploy


@dataclass
class Room:
    """The characters that variables may still add; shared by the objects of a deploy."""

    left: int = MAX_FILLED

    def take(self, characters: int) -> None:
        """Takes so many away. Raises ManifestError when that is more than is left."""
        self.left -= characters
        if self.left < 0:
            problem = (
                f"the variables of this environment add more than {MAX_FILLED // 1_000_000} MB to the objects"
            )
            hint = "Nothing was changed on the cluster. Make the values shorter, or use them less often."
            raise ManifestError(problem, problems=(problem,), hint=hint)


class Filler:
    """Fills variables into trees and remembers which it used. `room`: what they may add; shared with other fillers."""

    def __init__(self, variables: Iterable[Variable], room: Room | None = None) -> None:
        self._room = room or Room()
        self.known: Mapping[str, Variable] = {variable.name: variable for variable in variables}
        self.used: dict[str, Variable] = {}
        self.unknown: list[
            tuple[str, str]
        ] = []  # text of the scalar; name of the variable, empty when malformed
        self.clashes: list[str] = []  # text of a key that equals another key once filled

    def fill(self, tree: Any) -> Any:
        """A copy of the tree with its variables filled, keys too. Unknown ones are noted and left."""
        if isinstance(tree, str):
            return self._scalar(tree) if "${" in tree else tree
        if isinstance(tree, dict):
            filled = {self._key(key): self.fill(value) for key, value in tree.items()}
            if len(filled) != len(tree):
                self.clashes.append(next(key for key in tree if "${" in key))
            return filled
        if isinstance(tree, list):
            return [self.fill(item) for item in tree]
        return tree

    def _key(self, key: str) -> str:
        return str(self._text(key)) if "${" in key else key

    def _scalar(self, text: str) -> str | int | float | bool:
        whole = _TOKEN.fullmatch(text)
        if whole and whole[1] in self.known:
            return self._use(whole[1]).typed
        return self._text(text)

    def _text(self, text: str) -> str:
        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            if match[1] in self.known:
                return self._use(match[1]).value
            self.unknown.append((text, match[1] or ""))
            return match[0]

        return _TOKEN.sub(replace, text)

    def _use(self, name: str) -> Variable:
        variable = self.known[name]
        self.used[name] = variable
        self._room.take(len(variable.value))
        return variable
