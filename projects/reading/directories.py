"""Which folders of a repository may be config directories, by their paths alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import PurePosixPath

from projects.dockerfiles import NOT_OURS

MOST = 12  # folders that are read
# Names of environments, in the order in which a revision usually goes through them.
ORDER = (
    "dev", "development", "cluster", "sandbox", "review", "preview", "int", "integration", "test", "testing", "qa", "uat",
    "stage", "staging", "demo", "preprod", "preproduction", "pre-production", "canary", "live", "prod", "production",
)  # fmt: skip
PRODUCTION = frozenset({"live", "prod", "production"})
# Folders that hold config directories, and are none by themselves.
ROOTS = frozenset(
    {"kubernetes", "k8s", "kube", "deploy", "deployment", "deployments", "manifests", "overlays", "environments", "envs",
     "env", "ops", "infra", "config", "configs"}
)  # fmt: skip
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Folders:
    """`chosen`: the folders to read, the likeliest first. `skipped`: how many more there are. `charts`: folders of Helm charts.
    `at_root`: manifests may lie at the root, which cannot be a config directory."""

    chosen: tuple[str, ...] = ()
    skipped: int = 0
    charts: tuple[str, ...] = ()
    at_root: bool = False


def folders(paths: Iterable[str]) -> Folders:
    """The folders that may be config directories. Where some have the name of an environment or lie in a folder such as
    `kubernetes`, only those."""
    files = [PurePosixPath(path) for path in paths]
    charts = {str(file.parent) for file in files if file.name == "Chart.yaml"}
    homes = {str(file.parent) for file in files if file.suffix in _SUFFIXES}
    wanted = {one for one in homes - _below(homes, charts) if one != "." and _is_ours(one)}
    likely = {one for one in wanted if is_named(one) or _has_root(one)}
    ordered = sorted(likely or wanted, key=lambda one: (not is_named(one), one.count("/"), one))
    return Folders(
        tuple(ordered[:MOST]), max(0, len(ordered) - MOST), tuple(sorted(charts)), at_root="." in homes
    )


def _is_ours(folder: str) -> bool:
    parts = folder.split("/")
    return not NOT_OURS & {*parts} and not any(part.startswith(".") for part in parts)


def _below(homes: Iterable[str], charts: Set[str]) -> set[str]:
    """The folders that are charts, or lie in one. With a slash at its end, what lies in a folder follows it in the order."""
    found, chart = set(), ""
    for path in sorted(f"{one}/" for one in {*homes, *charts}):
        if not (chart and path.startswith(chart)):
            chart = path if path[:-1] in charts else ""
        if chart or "." in charts:
            found.add(path[:-1])
    return found


def _has_root(folder: str) -> bool:
    return bool(ROOTS & {part.lower() for part in folder.split("/")})


def word_of(folder: str) -> str:
    """The part of the path that names the environment: the last one that is no folder such as `kubernetes`; or empty."""
    parts = [part for part in folder.split("/") if part.lower() not in ROOTS]
    return parts[-1] if parts else ""


def is_named(folder: str) -> bool:
    """Whether the folder has the name of an environment: `staging`, `production-eu`, `qa2`."""
    return _known(word_of(folder)) != ""


def _known(word: str) -> str:
    """The usual name with which a folder's name begins or ends; or empty."""
    plain = word.lower()
    fitting = [name for name in ORDER if re.fullmatch(rf"({name}([-_.]?\d+|[-_.].+)?|.+[-_.]{name})", plain)]
    return max(fitting, key=len, default="")


def place_of(folder: str) -> int:
    """The folder's place in the usual order of environments; unknown names are in its middle."""
    known = _known(word_of(folder))
    return ORDER.index(known) if known else len(ORDER) // 2


def is_production(folder: str) -> bool:
    """Whether the name says production. A folder without a name is the only one that there is."""
    return word_of(folder) == "" or _known(word_of(folder)) in PRODUCTION


def slug_of(folder: str, taken: set[str]) -> str:
    """A short name for the environment of the folder that nothing in `taken` has."""
    plain = re.sub(r"[^a-z0-9]+", "-", (word_of(folder) or "production").lower()).strip("-")
    plain = re.sub(r"^[^a-z]+", "", plain)[:20].strip("-") or "environment"
    number, free = 2, plain
    while free in taken:
        free = f"{plain[:17]}-{number}"
        number += 1
    return free
