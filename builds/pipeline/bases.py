"""Which images a Dockerfile takes from elsewhere. Pure.

The engine and its credentials serve all projects, so a Dockerfile could name the image of a project that is none of its
people's business; `stages.check_bases` refuses that. What is written in a way that this reading does not understand is refused,
too, where it could be such a name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

_INSTRUCTION = re.compile(r"\s*(FROM|ARG|COPY|ADD|RUN|ONBUILD)\s+(.*)", re.I)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^{}$]*))?\}|(\w+))")
_OPTION = re.compile(r"(?:--from=|--mount=\S*?\bfrom=)([^\s,]+)")
_SYNTAX = re.compile(r"#\s*syntax\s*=\s*(\S+)", re.I)
_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)", re.I)
_CLEAR = re.compile(r"[A-Za-z0-9._/:@+-]+")
_DEPTH = 10  # of variables in defaults of variables


@dataclass(frozen=True)
class Taken:
    """`names`: images that are taken, without the Dockerfile's own stages; `unclear`: what may be one, and cannot be told."""

    names: tuple[str, ...]
    unclear: tuple[str, ...]


def taken(dockerfile: str, arguments: Mapping[str, str]) -> Taken:
    """The names after `FROM`, `--from=`, `from=` of mounts, and `# syntax=`. Variables of `FROM` have the values of `arguments`,
    else their defaults before the first `FROM`; those that the builder itself sets have no slash in them, so that a name without
    one is none of ours."""
    known, stages = dict(arguments), set[str]()
    given, is_begun = frozenset(arguments), False
    found, options = [match[1] for match in _SYNTAX.finditer(dockerfile)], list[str]()
    for word, rest in _instructions(dockerfile):
        options += [match[1] for match in _OPTION.finditer(rest)]
        if word == "ARG" and not is_begun:  # what a stage declares does not count in `FROM`
            _learn(rest, known, given)
        elif word == "FROM":
            is_begun = True
            parts = [part for part in rest.split() if not part.startswith("--")]
            found += [_filled(parts[0], known)] if parts else []
            if len(parts) >= 3 and parts[1].upper() == "AS":
                stages.add(parts[2].lower())
    unclear = [name for name in found if "/" in name and not _CLEAR.fullmatch(name)]
    unclear += [name for name in options if not _CLEAR.fullmatch(name)]
    names = [
        name
        for name in [*found, *options]
        if name not in unclear and ("/" in name or name.lower() not in stages)
    ]
    return Taken(tuple(dict.fromkeys(names)), tuple(unclear))


def _instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Each instruction on one line: comments go first, because one may stand inside an instruction."""
    escape = _ESCAPE.match(dockerfile.lstrip("\ufeff"))
    end = escape[1] if escape and escape[1] in "\\`" else "\\"
    lines = [
        line for line in dockerfile.lstrip("\ufeff").splitlines() if line.strip() and line.lstrip()[0] != "#"
    ]
    joined = re.sub(re.escape(end) + r"[ \t]*\n", " ", "\n".join(lines))
    for line in joined.splitlines():
        if match := _INSTRUCTION.fullmatch(line):
            yield match[1].upper(), match[2]


def _learn(rest: str, known: dict[str, str], given: Collection[str]) -> None:
    """Defaults of build arguments. A value that was given goes before; of two defaults the later one counts."""
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name not in given:
            known[name] = _filled(value, known)


def _filled(text: str, known: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return known.get(match[1] or match[3]) or (match[2] if match[2] is not None else match[0])

    for _ in range(_DEPTH):
        filled = _VARIABLE.sub(value, text)
        if filled == text:
            break
        text = filled
    return text


def place(reference: str) -> tuple[str, str]:
    """Host and repository of a reference, without tag and digest; the host is empty for Docker Hub."""
    name = reference.partition("@")[0]
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        return "", name.partition(":")[0]
    return host, rest.partition(":")[0]
