"""Names of settings that a program's last lines say are missing. A pure function over lines of a log.

Each pattern is what a runtime or a common library writes when a variable of its environment is not there. A name has capital
letters: words of a sentence do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 5
_NAME = r"[\"'`]?(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|[A-Z][A-Z0-9]{3,})[\"'`]?"
_NOUN = r"(?:environment variables?|env(?:ironment)? vars?|variables?|settings?|config(?:uration)?(?: values?| keys?)?|keys?)"
_LACKS = r"(?:missing|required|undefined|unset|not set|not defined|not found|no such|empty)"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"KeyError: {_NAME}",  # Python: os.environ["X"]
        rf"key not found: {_NAME}",  # Ruby: ENV.fetch("X")
        rf"[Ss]et the {_NAME} environment variable",  # django-environ
        rf"required key {_NAME} missing value",  # Go: envconfig
        rf"Could not resolve placeholder {_NAME}",  # Spring
        rf"\b{_NAME}: (?:parameter (?:null or )?not set|unbound variable)",  # a shell with `set -u`
        rf"\b(?:[Mm]issing|[Rr]equired|[Uu]ndefined|[Uu]nset)(?: required| mandatory)?(?: {_NOUN})?:? {_NAME}",
        rf"\b{_NAME} (?:{_NOUN} )?(?:is|was|are) (?:\w+ )?{_LACKS}\b",
        rf"\b{_NAME} (?:{_NOUN} )?(?:must|has to|needs to) be (?:set|defined|provided|configured)\b",
        rf"(?i:{_NOUN}) {_NAME} (?:is |was )?(?i:{_LACKS})\b",
        rf"(?i:{_NOUN} {_LACKS}):? {_NAME}",
        rf"\b{_NAME} (?:{_LACKS})\b",
    )
)
_PYDANTIC = re.compile(r"^\s*[Ff]ield required\b")
_FIELD = re.compile(r"^\w+$")
_NOT_LACKING = re.compile(r"\bis (?:already )?(?:set|defined|provided|configured)\b")


def missing_settings(lines: Sequence[str]) -> list[str]:
    """The names, the last one that was told first; at most MOST."""
    found: dict[str, None] = {}
    for number in range(len(lines) - 1, -1, -1):
        for name in _of_line(lines, number):
            found.setdefault(name)
    return list(found)[:MOST]


def _of_line(lines: Sequence[str], number: int) -> list[str]:
    line = lines[number]
    before = lines[number - 1].strip() if number else ""
    if _PYDANTIC.match(line) and _FIELD.match(before):
        return [before.upper()]
    if _NOT_LACKING.search(line):
        return []
    hits = (pattern.search(line) for pattern in _PATTERNS)
    return list(dict.fromkeys(hit["name"] for hit in hits if hit))
