"""Which images a Dockerfile takes from elsewhere. Pure.

The engine and its credentials serve all projects, so a Dockerfile could name the image of a project that is none of its
people's business; `stages.check_bases` refuses that. What is written in a way that this reading does not understand is refused,
too, where it could be such a name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_INSTRUCTION = re.compile(r"\s*(FROM|ARG|COPY|ADD|RUN|ONBUILD)\s+(.*)", re.I)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?-)([^{}$]*))?\}|(\w+))")
_QUOTING = str.maketrans("", "", "\"'\\`")  # the builder takes it away: `--fr\om=` is `--from=`
_OPTION = re.compile(r"(?:--|[,=])from=([^\s,]+)", re.I)
_SYNTAX = re.compile(r"#\s*syntax\s*=\s*(\S+)", re.I)
_ESCAPE = re.compile(r"^[ \t]*#[ \t]*escape[ \t]*=[ \t]*`", re.I | re.M)
_CLEAR = re.compile(r"[A-Za-z0-9._/:@+-]+")
_SIMPLE = re.compile(r"\$(?:\{\w+\}|\w+)")  # a variable that nobody gave: empty, or of the platform
_DEPTH = 10  # of variables in defaults of variables


@dataclass(frozen=True)
class Taken:
    """`names`: images that are taken, without the Dockerfile's own stages; `unclear`: what may be one, and cannot be told."""

    names: tuple[str, ...]
    unclear: tuple[str, ...]


def taken(dockerfile: str, arguments: Mapping[str, str]) -> Taken:
    """The names after `FROM`, `--from=`, `from=` of mounts, and `# syntax=`. Variables of `FROM` have the values of `arguments`
    where they are declared, else their defaults before the first `FROM`; those that the builder itself sets have no host in
    them, so that a name without a slash is none of ours.

    Builders differ in where a line goes on, so each way of reading it counts."""
    found, options, stages = [match[1] for match in _SYNTAX.finditer(dockerfile)], list[str](), set[str]()
    for lines in _readings(dockerfile):
        _read(lines, arguments, found, options, stages)
    unclear = [name for name in found if not _is_clear(name)]
    unclear += [name for name in options if not _CLEAR.fullmatch(name)]
    names = [
        name
        for name in [*found, *options]
        if name not in unclear and ("/" in name or name.lower() not in stages)
    ]
    return Taken(tuple(dict.fromkeys(names)), tuple(unclear))


def _is_clear(name: str) -> bool:
    """Whether a name of `FROM` is plain, or cannot be one of ours. Of variables without a value only a plain one is harmless:
    others can make any text."""
    return bool(_CLEAR.fullmatch(name)) if "/" in name else "$" not in _SIMPLE.sub("", name)


def _read(
    lines: Iterable[str], arguments: Mapping[str, str], found: list[str], options: list[str], stages: set[str]
) -> None:
    """Adds what the instructions take."""
    known, is_begun = dict[str, str](), False
    for word, rest in _instructions(lines):
        if word == "ARG":
            if not is_begun:  # what a stage declares does not count in `FROM`
                _learn(rest, known, arguments)
            continue
        options += [match[1] for match in _OPTION.finditer(rest.translate(_QUOTING))]
        if word == "FROM":
            is_begun = True
            words = [part for part in rest.split() if not part.startswith("--")]
            if len(words) >= 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
            # An option in quotes may have spaces in it: then the image need not be the first word.
            is_plain = rest == rest.translate(_QUOTING)
            found += [_filled(one.translate(_QUOTING), known) for one in words[: 1 if is_plain else None]]


def _readings(dockerfile: str) -> Iterator[list[str]]:
    """The lines as they stand, and with each character for escapes joined as builders do. Comments go first, because one may
    stand inside an instruction. Only a line feed ends a line."""
    plain = [line.rstrip("\r") for line in dockerfile.lstrip("\ufeff").split("\n")]
    lines = [line for line in plain if line.strip() and line.lstrip()[0] != "#"]
    yield lines
    for end in "\\`" if _ESCAPE.search(dockerfile) else "\\":
        yield re.sub(re.escape(end) + r"[ \t]*\n", "", "\n".join(lines)).split("\n")


def _instructions(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if match := _INSTRUCTION.fullmatch(line):
            yield match[1].upper(), match[2]


def _learn(rest: str, known: dict[str, str], given: Mapping[str, str]) -> None:
    """Build arguments that are declared. A value that was given goes before a default; of two defaults the later one counts."""
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    for word in words:
        name, equals, value = word.partition("=")
        if name in given:
            known[name] = given[name]
        elif equals:
            known[name] = _filled(value, known)


def _filled(text: str, known: Mapping[str, str]) -> str:
    """The text with the values of its variables. A default counts where there is no value, after `:-` also for an empty one."""

    def value(match: re.Match[str]) -> str:
        found = known.get(match[1] or match[4])
        if match[2] is not None and (found is None or (not found and match[2] == ":-")):
            return str(match[3])
        return match[0] if found is None else found

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
