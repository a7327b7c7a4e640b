"""Faults in the words of a page that a program can find: signs of markup in the text, articles and numbers that do not fit, words
said twice. What people or programs wrote (names, subjects of commits, logs, code) is left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset(
    ["area", "br", "col", "hr", "img", "input", "link", "meta", "wbr", "circle", "path", "rect", "line"]
)
# Elements whose text is not ours, or not shown.
LEFT_OUT = frozenset(
    ["script", "style", "template", "code", "pre", "kbd", "textarea", "svg", "option", "title"]
)
LEFT_OUT_CLASSES = frozenset(
    [
        "mono",
        "subject",
        "key",
        "rev",
        "id",
        "log",
        "log-lines",
        "diff",
        "evidence",
        "who",
        "found",
        "line-text",
    ]
)
INLINE = frozenset(["a", "b", "i", "em", "strong", "span", "time", "abbr", "button", "mark", "code", "kbd"])
PATTERNS = {
    "a backtick outside of <code>": re.compile(r"`[^`]*`?"),
    "“no a”": re.compile(r"\bno an? \w+", re.IGNORECASE),
    "“these 1”": re.compile(r"\b(?:these|those|all) 1\b(?! of)", re.IGNORECASE),
    "“since 3 min ago”": re.compile(
        r"\b(?:since|for|until) (?:\d+ (?:s|min|h|d) ago|just now)", re.IGNORECASE
    ),
    "a word said twice": re.compile(r"\b(?!had\b|that\b)([a-z]{2,}) \1\b"),
    "“1 things”": re.compile(
        r"(?<![\d.,#/:-])\b1 (?!secrets file\b|changes,|pass|process|access|status|progress|address|s\b|less)"
        r"[a-z]{2,}s\b(?! (?:ago|old))"
    ),
    "“a error”": re.compile(
        r"\ba (?!one|on\b|us|uni|eu|and\b|in\b|as\b|or\b|is\b|at\b|of\b|u[a-z]{0,2}\b)[aeio][a-z]+"
    ),
    "“an name”": re.compile(r"\ban (?!h(?:our|onest)|[A-Z])[bcdfgjklmnpqrstvwxyz][a-z]+"),
    "a blank before a comma or full stop": re.compile(r"[a-z] [,.;](?:\s|$)"),
}


class Blocks(HTMLParser):
    """Collects the shown text of a page, one entry for each block; `…` stands for what is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, bool]] = []
        self.blocks: list[str] = [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            self._add(" " if tag == "br" else "")
            return
        named = dict(attrs)
        classes = set((named.get("class") or "").split())
        left_out = tag in LEFT_OUT or bool(classes & LEFT_OUT_CLASSES) or "hidden" in named
        if left_out and not self._is_left_out():
            self._add("…")
        self.open.append((tag, left_out))
        if tag not in INLINE:
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass
        if tag not in INLINE:
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        if not self._is_left_out():
            self._add(data)

    def _is_left_out(self) -> bool:
        return any(left_out for _, left_out in self.open)

    def _add(self, text: str) -> None:
        self.blocks[-1] += text


def blocks_of(html: str) -> list[str]:
    """The shown text of a page, block by block."""
    parser = Blocks()
    parser.feed(html)
    return [text for block in parser.blocks if (text := " ".join(block.split()))]


def faults(html: str) -> list[str]:
    """What is wrong with the words of a page: the fault, and the text around it."""
    return [
        f"{name}: {block[max(found.start() - 40, 0) : found.end() + 40]}"
        for block in blocks_of(html)
        for name, pattern in PATTERNS.items()
        for found in pattern.finditer(block)
    ]
