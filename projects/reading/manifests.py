"""What the manifests of one folder say about the environment that would be deployed from it. Pure.

No value of a Secret leaves this module: only names of files and counts of keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.manifests.documents import (
    MAX_OBJECTS,
    Document,
    duplicates,
    is_kustomization,
    is_read,
    read_file,
)
from engine.manifests.masking import is_secret, values_of
from engine.manifests.secretfiles import is_placeholder
from engine.manifests.yamlread import Budget
from projects.variables import BUILT_IN, BUILT_IN_PREFIX, name_problem

MOST_PROBLEMS = 8
MOST_USES = 4
_TOKEN = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{", re.ASCII)
# Fields whose whole value must be a number, or true or false: a variable there is of that type.
_NUMBERS = frozenset(
    {"replicas", "minReplicas", "maxReplicas", "port", "containerPort", "targetPort", "nodePort", "hostPort",
     "initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold", "successThreshold", "parallelism",
     "completions", "backoffLimit", "activeDeadlineSeconds", "revisionHistoryLimit", "terminationGracePeriodSeconds",
     "minReadySeconds", "ttlSecondsAfterFinished", "averageUtilization", "runAsUser", "runAsGroup", "fsGroup",
     "successfulJobsHistoryLimit", "failedJobsHistoryLimit", "progressDeadlineSeconds"}
)  # fmt: skip
_BOOLEANS = frozenset(
    {"suspend", "paused", "readOnlyRootFilesystem", "runAsNonRoot", "automountServiceAccountToken", "immutable",
     "allowPrivilegeEscalation", "hostNetwork", "enableServiceLinks"}
)  # fmt: skip


@dataclass(frozen=True)
class FoundVariable:
    """A variable that manifests use. `uses`: places such as `web.yaml:12`; `more`: how many more there are."""

    name: str
    kind: str
    uses: tuple[str, ...]
    more: int = 0


@dataclass(frozen=True)
class BlankFile:
    """A file of blank Secrets. `secrets`: their names; `keys`: how many keys they have together."""

    path: str
    secrets: tuple[str, ...]
    keys: int


@dataclass(frozen=True)
class Manifests:
    """What was found. `images`: references as written; `own_images`: names in `${IMAGE_<NAME>}`; `problems`: what a deploy would
    refuse, as sentences or `file:line: what is wrong`; `more_problems`: how many more there are."""

    objects: int = 0
    variables: tuple[FoundVariable, ...] = ()
    blank_files: tuple[BlankFile, ...] = ()
    images: tuple[str, ...] = ()
    own_images: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    more_problems: int = 0


@dataclass
class _Collected:
    uses: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    images: dict[str, None] = field(default_factory=dict)
    pull_secrets: dict[str, None] = field(default_factory=dict)
    namespaces: dict[str, None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read(files: Mapping[str, bytes]) -> Manifests:
    """What the manifests of a folder say. What cannot be read becomes a problem; the rest is read nevertheless."""
    found = _Collected()
    documents = _documents(files, found.problems)
    blank = _blank_files(documents, found.problems)
    left_out = {file.path for file in blank}
    for document in documents:
        _look(document, found, is_filled=document.source.file not in left_out)
    problems = [*dict.fromkeys(found.problems)]
    return Manifests(
        len(documents), tuple(_variables(found)), tuple(blank), tuple(found.images),
        tuple(name.removeprefix(BUILT_IN_PREFIX) for name in found.uses if name.startswith(BUILT_IN_PREFIX)),
        tuple(found.namespaces), tuple(found.pull_secrets), tuple(problems[:MOST_PROBLEMS]),
        max(0, len(problems) - MOST_PROBLEMS),
    )  # fmt: skip


def _documents(files: Mapping[str, bytes], problems: list[str]) -> list[Document]:
    """The objects of all files. Those of a folder that holds none give no problem: it is no config directory."""
    documents: list[Document] = []
    found: list[str] = []
    budget = Budget()
    for name in sorted(filter(is_read, files)):
        if is_kustomization(name):
            found.append(f"{name}: kustomizations are not supported yet; plain manifests are read")
        elif not budget.is_spent:
            documents += read_file(name, files[name], found, budget=budget)
    if documents:
        problems += [*found, *duplicates(documents)]
    if len(documents) > MAX_OBJECTS:
        problems.append(f"there are {len(documents)} objects; at most {MAX_OBJECTS} can be deployed at once")
    return documents


def _blank_files(documents: Sequence[Document], problems: list[str]) -> list[BlankFile]:
    """The files of blank Secrets. Secrets that are not blank, or stand beside other objects, become problems."""
    by_file: dict[str, list[Document]] = {}
    for document in documents:
        by_file.setdefault(document.source.file, []).append(document)
    found = []
    for path, group in by_file.items():
        secrets = [document for document in group if is_secret(document.body)]
        blank = [_is_blank(document) for document in secrets]
        if blank and sum(blank) == len(group):
            names = tuple(str(document.body["metadata"]["name"]) for document in group)
            found.append(BlankFile(path, names, sum(_keys(document) for document in group)))
        else:
            problems += _of_secrets(zip(secrets, blank, strict=True))
    return found


def _of_secrets(secrets: Iterable[tuple[Document, bool]]) -> Iterator[str]:
    for document, is_blank in secrets:
        name = document.body["metadata"]["name"]
        if is_blank:
            yield (
                f"{document.source}: the blank Secret {name} stands beside other objects; only a file of Secrets alone can be"
                " replaced by a secret of AWS"
            )
        elif _keys(document):
            yield f"{document.source}: the Secret {name} has values in Git; they are deployed as they are"


def _is_blank(document: Document) -> bool:
    values = [value for _, value in values_of(document.body)]
    return bool(values) and all(is_placeholder(value) for value in values)


def _keys(document: Document) -> int:
    return sum(1 for _ in values_of(document.body))


def _look(document: Document, found: _Collected, *, is_filled: bool) -> None:
    """Notes what one object uses. `is_filled`: variables are filled into it."""
    namespace = document.body["metadata"].get("namespace")
    if namespace and "${" not in namespace:
        found.namespaces[namespace] = None
    for key, text in _scalars(document.body, ""):
        if is_filled and "${" in text:
            _note_variables(document, key, text, found)
        if key == "image" and "${" not in text:
            found.images[text] = None
        if key == "imagePullSecrets" and "${" not in text:
            found.pull_secrets[text] = None


def _scalars(tree: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text of a tree with the key it stands at; keys with variables, too. A pull secret's name stands at the list's key."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, dict):
        for name, value in tree.items():
            if "${" in name:
                yield "", name
            yield from _scalars(value, key if key == "imagePullSecrets" else name)
    elif isinstance(tree, list):
        for item in tree:
            yield from _scalars(item, key)


def _note_variables(document: Document, key: str, text: str, found: _Collected) -> None:
    where = f"{document.source.file}:{document.line_of(text)}"
    for match in _TOKEN.finditer(text):
        name = match[1] or ""
        if match[0] == "$${" or name in BUILT_IN:
            continue
        problem = name_problem(name) if not name.startswith(BUILT_IN_PREFIX) else ""
        if problem:
            shown = f"${{{name}}}" if name else "${"
            found.problems.append(
                f"{where}: {shown} cannot be a variable; where it is meant as text, write $${{"
            )
            continue
        found.uses.setdefault(name, []).append(where)
        found.kinds.setdefault(name, set()).add(_kind(key) if match[0] == text else "string")


def _kind(key: str) -> str:
    if key in _NUMBERS:
        return "number"
    return "boolean" if key in _BOOLEANS else "string"


def _variables(found: _Collected) -> Iterator[FoundVariable]:
    for name in sorted(found.uses):
        if not name.startswith(BUILT_IN_PREFIX):
            places = [*dict.fromkeys(found.uses[name])]
            kinds = found.kinds[name] - {"string"}
            kind = kinds.pop() if len(kinds) == 1 else "string"
            yield FoundVariable(name, kind, tuple(places[:MOST_USES]), max(0, len(places) - MOST_USES))
