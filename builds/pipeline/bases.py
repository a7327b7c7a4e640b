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

_WORDS = ("FROM", "ARG", "COPY", "ADD", "RUN", "ONBUILD")
_INSTRUCTION = re.compile(rf"\s*({'|'.join(_WORDS)})\s+(.*)", re.I)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?-)([^{}$]*))?\}|(\w+))")
_QUOTING = str.maketrans("", "", "\"'\\`")  # the builder takes it away: `--fr\om=` is `--from=`
_OPTION = re.compile(r"(?:--|[,=])from=([^\s,]+)", re.I)
_SYNTAX = re.compile(r"^\s*(?:#|//)\s*syntax\s*=\s*(\S+)", re.I | re.M)
_OFFICIAL = re.compile(r"(?:(?:index\.)?docker\.io/)?docker/dockerfile(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")
_SYNTAX_ARGUMENT = "BUILDKIT_SYNTAX"
_ESCAPE = re.compile(r"^\s*#\s*escape\s*=\s*`", re.I | re.M)
_CLEAR = re.compile(r"[A-Za-z0-9._/:@+-]+")
_SIMPLE = re.compile(r"\$(?:\{\w+\}|\w+)")  # a variable that nobody gave: empty, or of the platform
# The beginning of an image's id, by which the classic builder finds any image of the engine. A small number is a stage's.
_ID = re.compile(r"(?:sha256:)?(?=[0-9]*[a-f]|[0-9]{4})[0-9a-f]+")
_DEPTH = 10  # of variables in defaults of variables
_MOST_JOINED = 20_000_000  # characters of lines that go on in others
Instructions = list[tuple[str, str]]


@dataclass(frozen=True)
class _Base:
    """A word of `FROM` that may be the image. `stage`: the name of the stage, empty for none; `is_valid`: False in what no
    builder takes for `FROM`, such as an import of Python."""

    name: str
    stage: str
    is_valid: bool


@dataclass(frozen=True)
class Taken:
    """`names`: images that are taken, without the Dockerfile's own stages; `bases`: those of `FROM`; `unclear`: what may be one,
    and cannot be told; `frontends`: programs other than Docker's own that are to read the Dockerfile."""

    names: tuple[str, ...]
    bases: tuple[str, ...]
    unclear: tuple[str, ...]
    frontends: tuple[str, ...] = ()


def taken(dockerfile: str, arguments: Mapping[str, str]) -> Taken:
    """The names after `FROM`, `--from=` and `from=` of mounts. Variables of `FROM` have the values of `arguments` where they are
    declared, else their defaults before the first `FROM`; those that the builder itself sets have no host in them, so that a name
    without a slash is none of ours.

    Builders differ in where a line goes on, and what looks like an instruction may be text of another one: so each way of reading
    it counts, and each line may begin an instruction."""
    dockerfile = dockerfile.lstrip("\ufeff")
    wholes = [list(_instructions(lines)) for lines in _readings(dockerfile)]
    begun = _begun_anywhere(dockerfile)
    readings = [*wholes, *([begun] if begun is not None else [])]
    known = [_declared(reading, arguments) for reading in wholes]
    found, ids, stages = list[str](), list[str](), set[str]()
    for base in (base for reading in readings for base in _bases(reading)):
        filled = [_filled(base.name, values) for values in known]
        found += filled
        ids += filled if base.is_valid else []
        stages |= {base.stage} - {""}
    texts = {rest.translate(_QUOTING) for reading in readings for word, rest in reading if word != "ARG"}
    options = sorted({match[1] for text in texts for match in _OPTION.finditer(text)})
    unclear = [name for name in found if not _is_clear(name)]
    unclear += [name for name in options if not _CLEAR.fullmatch(name)]
    unclear += [name for name in [*ids, *options] if _ID.fullmatch(name) and name not in stages]
    unclear += [] if begun is not None else ["so many lines that go on in the next one"]
    names, bases = (
        dict.fromkeys(
            name for name in some if name not in unclear and ("/" in name or name.lower() not in stages)
        )
        for some in ([*found, *options], found)
    )
    return Taken(
        tuple(names), tuple(bases), tuple(dict.fromkeys(unclear)), tuple(_frontends(dockerfile, arguments))
    )


def _is_clear(name: str) -> bool:
    """Whether a name of `FROM` is plain, or cannot be one of ours. Of variables without a value only a plain one is harmless:
    others can make any text."""
    if "/" in name:
        return bool(_CLEAR.fullmatch(name))
    return "$" not in _SIMPLE.sub("", name)


def foreign_frontends(arguments: Mapping[str, str]) -> tuple[str, ...]:
    """What build arguments want to read the Dockerfile, unless it is Docker's own."""
    return tuple(_frontends("", arguments))


def _frontends(dockerfile: str, arguments: Mapping[str, str]) -> Iterator[str]:
    """What is to read the Dockerfile, unless it is Docker's own: it could take any image, whatever the Dockerfile says. BuildKit
    looks for the directive after `#` and `//` and in JSON, and a build argument goes before it."""
    named = [match[1] for match in _SYNTAX.finditer(dockerfile)]
    named += [arguments[_SYNTAX_ARGUMENT].split(" ")[0]] if _SYNTAX_ARGUMENT in arguments else []
    yield from dict.fromkeys(name for name in named if not _OFFICIAL.fullmatch(name))
    rest = dockerfile.partition("\n")[2] if dockerfile.startswith("#!") else dockerfile
    if rest.lstrip().startswith("{"):
        yield "JSON"


def _declared(reading: Instructions, given: Mapping[str, str]) -> dict[str, str]:
    """The build arguments before the first `FROM`; what a stage declares does not count in `FROM`."""
    known = dict[str, str]()
    for word, rest in reading:
        if word == "FROM":
            break
        if word == "ARG":
            _learn(rest, known, given)
    return known


def _bases(reading: Instructions) -> Iterator[_Base]:
    for word, rest in reading:
        if word != "FROM":
            continue
        words = [part for part in rest.split() if not part.startswith("--")]
        names = len(words) >= 3 and words[1].upper() == "AS"
        # An option in quotes may have spaces in it: then the image need not be the first word.
        is_plain = rest == rest.translate(_QUOTING)
        for one in words[: 1 if is_plain else None]:
            yield _Base(
                one.translate(_QUOTING), words[2].lower() if names else "", len(words) == 1 or names or not is_plain
            )  # fmt: skip


def _lines(dockerfile: str) -> list[str]:
    """The lines without comments, because one may stand inside an instruction. Only a line feed ends a line."""
    plain = [line.rstrip("\r") for line in dockerfile.split("\n")]
    return [line for line in plain if line.strip() and line.lstrip()[0] != "#"]


def _ends(dockerfile: str) -> Iterator[re.Pattern[str]]:
    """How a line says that it goes on: older builders take a doubled character for escapes for that, too, newer ones do not."""
    for end in "\\`" if _ESCAPE.search(dockerfile) else "\\":
        yield re.compile(re.escape(end) + r"[ \t]*\n")
        yield re.compile(rf"(?<!{re.escape(end)}){re.escape(end)}[ \t]*\n")


def _readings(dockerfile: str) -> Iterator[list[str]]:
    """The lines as they stand, and joined in each way."""
    lines = _lines(dockerfile)
    yield lines
    for end in _ends(dockerfile):
        yield end.sub("", "\n".join(lines)).split("\n")


def _may_begin(line: str) -> bool:
    """Whether an instruction may begin here: its word, or only the beginning of it."""
    word, *rest = line.upper().split(maxsplit=1) or [""]
    return word in _WORDS if rest else any(one.startswith(word) for one in _WORDS) and word != ""


def _begun_anywhere(dockerfile: str) -> Instructions | None:
    """The instructions where any line may begin one, whatever stands before it: the end of a text in a Dockerfile (`<<`) may look
    like a line that goes on. None for a Dockerfile with so many such lines that reading it takes too long."""
    lines, found, work = _lines(dockerfile), Instructions(), 0
    for end in _ends(dockerfile):
        goes_on = [bool(end.search(f"{line}\n")) for line in lines]
        for place in range(len(lines)):
            if not goes_on[place] or not _may_begin(end.sub("", f"{lines[place]}\n")):
                continue  # the reading of the lines as they stand has those that do not go on
            last = place
            while last + 1 < len(lines) and goes_on[last]:
                last += 1
            text = "\n".join(lines[place : last + 1])
            work += len(text)
            if work > _MOST_JOINED:
                return None
            found += _instructions(end.sub("", text).split("\n")[:1])
    return found


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
    return host.lower().removesuffix(":443"), rest.partition(":")[0]
