"""Patterns of allotments. `*` stands for any text, also for an empty one; every other character stands for itself."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [re.escape(part) for part in re.sub(r"\*+", "*", pattern).split("*")]
    return re.compile(".*".join(parts), re.DOTALL)


def plain_address(text: str) -> str:
    """A repository's address, or a pattern of them, without what hosts take for the same: upper case, `.git`, a slash at the end,
    encoded letters. Else a project would reach another one's repository by another spelling."""
    return unquote(text).casefold().rstrip("/").removesuffix(".git")


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value fits the pattern. The full ARN of a secret fits only patterns that are ARNs themselves: the same
    name may exist in another account."""
    if value.startswith("arn:") and not pattern.startswith("arn:"):
        return False
    return _compiled(pattern).fullmatch(value) is not None


def closeness(pattern: str) -> tuple[bool, int, int]:
    """How exactly a pattern names its values, for comparing two that fit the same value: an exact name beats every pattern
    with `*`; of those, the longer text before the first `*` counts, then all literal characters."""
    return "*" not in pattern, len(pattern.partition("*")[0]), len(pattern.replace("*", ""))
