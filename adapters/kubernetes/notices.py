"""The warnings that an API server sends with an answer that is otherwise fine: headers `Warning: 299 - "text"`."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOST_CHARACTERS = 2000  # of one warning
_WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


def warnings_of(headers: Iterable[str]) -> tuple[str, ...]:
    """The texts of `Warning` headers, in order, each once. Headers of another form are left out."""
    texts = (_ESCAPED.sub(r"\1", text) for header in headers for text in _WARNING.findall(header))
    return tuple(dict.fromkeys(text[:MOST_CHARACTERS] for text in texts if text))
