"""Names of secret keys, which only people with the right `names` may see (projects/secret_rights.py).

A log line, result or message is written once for all its readers, so it counts the keys. The names are kept beside the
sentence (`Finding.keys`, `SlipwayError.key_names`), and pages show them with `shown_keys`.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ManifestError
from engine.manifests.secretfiles import without_name

MOST_SHOWN = 20


def shown_keys(keys: Sequence[str], sees_names: bool, most: int = MOST_SHOWN) -> str:
    """`app/TOKEN, app/PIN and 3 more` for people with the right `names`; empty for all others."""
    if not sees_names:
        return ""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return f"{', '.join(keys[:most])}{more}"


def counted(keys: Sequence[str]) -> str:
    """`1 key`, `3 keys`: the part that every reader may see."""
    return "1 key" if len(keys) == 1 else f"{len(keys)} keys"


def without_names(error: ManifestError) -> ManifestError:
    """The same error with the names of keys in `key_names` only, so that every reader may see its sentences."""
    named: dict[str, list[str]] = {}
    for problem in error.problems:
        text, key = without_name(problem)
        named.setdefault(text, []).extend([key] if key else [])
    problems = tuple(named)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    message = f"{problems[0]}{more}" if problems else error.message
    names = {text: tuple(keys) for text, keys in named.items() if keys}
    return ManifestError(message, problems=problems, hint=error.hint, key_names=names)
