"""The progress of a build, as lines for people and as counts. BuildKit and the classic builder tell it in different ways."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from adapters.docker import protobuf

Tell = Callable[[str, str], None]  # a line and its level: info, warning or error

# `[2/5] RUN make`, `[build 1/3] FROM …`; not `[internal] load build context`.
_STEP = re.compile(r"\[(?!internal\])(?:[^\]]+ )?\d+/\d+\] ")
_OUR_OWN = ("copy /context /", "[internal] load remote build context")  # how the context came
_LOADED = re.compile(r"(?:\[internal\] load metadata for|resolve image config for) (?:docker-image://)?(\S+)")
_LONGEST = 100_000  # bytes of a line that are kept until its end comes
_TOO_LONG = "(a line that is too long to be shown)"
_CLASSIC = re.compile(r"Step (\d{1,4})/(\d{1,4}) : ")  # a program can print that, too


@dataclass
class BuildKitTrace:
    """Reads BuildKit's messages (`moby.buildkit.v1.StatusResponse`). Each step is told once when it begins and once when it is
    over, its output line by line. `watch` is called with the name of each image whose facts BuildKit loads, before it takes
    anything of it; it may raise."""

    tell: Tell
    watch: Callable[[str], None]
    steps: set[str] = field(default_factory=set)
    cached: set[str] = field(default_factory=set)
    _names: dict[str, str] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)
    _over: set[str] = field(default_factory=set)
    _output: dict[str, bytes] = field(default_factory=dict)
    _too_long: set[str] = field(default_factory=set)

    def take(self, message: str) -> None:
        """One message, in Base64. One that cannot be read is left out: the build goes on without it."""
        try:
            for number, value in protobuf.fields(base64.b64decode(message)):
                if isinstance(value, bytes) and number == 1:
                    self._vertex(value)
                elif isinstance(value, bytes) and number == 3:
                    self._log(value)
        except (ValueError, binascii.Error):
            return

    def _vertex(self, message: bytes) -> None:
        found: dict[int, int | bytes] = {}
        for number, value in protobuf.fields(message):
            found.setdefault(number, value)
        key, name = _words(found.get(1)), " ".join(_words(found.get(3)).split())
        if key not in self._names and (match := _LOADED.fullmatch(name)):
            self.watch(match[1])
        self._names[key] = name
        is_step = bool(_STEP.match(name))
        if is_step:
            self.steps.add(key)
        if is_step and found.get(4):
            self.cached.add(key)
        if (5 in found or 4 in found) and key not in self._begun and name not in _OUR_OWN:
            self._begun.add(key)
            self.tell(f"{name} (from the cache)" if found.get(4) else name, "info")
        if 6 in found and key not in self._over:
            self._over.add(key)
            self._rest(key)
        if found.get(7):
            self.tell(_words(found[7]), "error")

    def _log(self, message: bytes) -> None:
        """Output of a step. Half a line waits for its other half, so that a value which it shows is seen whole."""
        key, piece = protobuf.text(message, 1), b""
        for number, value in protobuf.fields(message):
            if number == 4 and isinstance(value, bytes):
                piece = value
        *lines, rest = (self._output.pop(key, b"") + piece).split(b"\n")
        for line in lines:
            self._line(key, line)
        if len(rest) > _LONGEST:
            self._too_long.add(key)
        elif rest:
            self._output[key] = rest

    def _line(self, key: str, line: bytes) -> None:
        """Tells a line. Of one that is too long nothing is told: a part of it could be a part of a secret value."""
        if key in self._too_long:
            self._too_long.discard(key)
            line = _TOO_LONG.encode()
        self.tell(shown(line), "info")

    def _rest(self, key: str) -> None:
        rest = self._output.pop(key, b"")
        if rest or key in self._too_long:
            self._line(key, rest)

    def close(self) -> None:
        """Tells what was printed without an end of line."""
        for key in {*self._output, *self._too_long}:
            self._rest(key)


@dataclass
class ClassicTrace:
    """Reads the stream of the classic builder."""

    tell: Tell
    total: int = 0
    cached_count: int = 0
    _output: str = ""
    _is_too_long: bool = False

    def take(self, text: str) -> None:
        """A piece of the stream."""
        *lines, self._output = (self._output + text).split("\n")
        for line in lines:
            self._line(line)
        if len(self._output) > _LONGEST:
            self._output, self._is_too_long = "", True

    def _line(self, line: str) -> None:
        if self._is_too_long:
            self._is_too_long, line = False, _TOO_LONG
        if match := _CLASSIC.match(line):
            self.total = int(match[2])
        if "---> Using cache" in line:
            self.cached_count += 1
        if line.strip():
            self.tell(shown(line.encode()), "info")

    def close(self) -> None:
        """Tells what was printed without an end of line."""
        self._line(self._output)
        self._output = ""


_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]")


def shown(line: bytes) -> str:
    """A line as a terminal would leave it: without colours, and of a line that was written over only the last state."""
    text = _ESCAPES.sub("", line.decode(errors="replace")).rstrip("\r\n")
    return text.rsplit("\r", 1)[-1]


def _words(value: int | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else ""
