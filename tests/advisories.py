"""`python -m tests.advisories`: asks the package index for known holes of the pinned dependencies.

It asks the index that pip uses (pypi.org's JSON answers name the advisories of a version). Where no index with advisories
is reached, it says so and passes: a check that needs the network must not stop work without it.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt",)  # what an installation runs
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", re.MULTILINE)
INDEX = os.environ.get("ADVISORIES_URL", "https://pypi.org/pypi")
TIMEOUT = 10.0


class NotReached(Exception):
    """The index did not answer, or its answers name no advisories."""


def pins(texts: Iterator[str]) -> list[tuple[str, str]]:
    """Name and version of every pinned package, each once."""
    return sorted({(name, version) for text in texts for name, version in PIN.findall(text)})


def advisories(name: str, version: str, *, index: str = INDEX) -> list[str]:
    """The known holes of a version, as sentences. Raises NotReached."""
    try:
        with urllib.request.urlopen(f"{index}/{name}/{version}/json", timeout=TIMEOUT) as answer:
            found = json.loads(answer.read())["vulnerabilities"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return []  # a package of another index
        raise NotReached(f"{index} answers {error.code}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotReached(f"{index}: {type(error).__name__}") from None
    return [told(name, version, one) for one in found if not one.get("withdrawn")]


def told(name: str, version: str, advisory: dict[str, object]) -> str:
    """An advisory as a sentence."""
    fixed = advisory.get("fixed_in")
    mended = ", ".join(str(one) for one in fixed) if isinstance(fixed, list) and fixed else "no version yet"
    return f"{name} {version}: {advisory.get('id')}, mended in {mended}"


def main() -> int:
    """Prints what was found. Returns 1 when a version has a known hole."""
    packages = pins(file.read_text() for file in map(ROOT.joinpath, FILES))
    try:
        with ThreadPoolExecutor(max_workers=6) as pool:
            answers = list(pool.map(lambda one: advisories(*one), packages))
    except NotReached as error:
        sys.stdout.write(
            f"The dependencies were NOT audited: no index of advisories was reached ({error}).\n"
        )
        return 0
    found = [hole for holes in answers for hole in holes]
    sys.stdout.write("\n".join(found or [f"{len(packages)} dependencies, no known holes."]) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
