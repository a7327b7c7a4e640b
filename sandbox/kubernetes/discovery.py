"""Which groups, versions and kinds are served: the two ways of telling it, single documents and one aggregated."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from engine.types import Json
from sandbox.kubernetes import VERSION
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, Request, json_answer, text_answer
from sandbox.kubernetes.store import encode

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Subresources that are of another kind than their parent, or have other verbs: group/version, kind, verbs.
_PARTS = {
    "scale": ("autoscaling/v1", "Scale", "get patch update"),
    "eviction": ("policy/v1", "Eviction", "create"),
    "token": ("authentication.k8s.io/v1", "TokenRequest", "create"),
    "binding": ("/", "Binding", "create"),
    "log": ("/", "", "get"),
    "finalize": ("/", "", "update"),
    "status": ("/", "", "get patch update"),
}


def version() -> Json:
    """`/version`: that of the server whose behaviour is simulated; the commit says what it is."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    python = {"goVersion": f"python{platform.python_version()}", "compiler": "simulated"}
    git = {"gitVersion": VERSION, "gitCommit": "simulated", "gitTreeState": "clean"}
    return {
        "major": major,
        "minor": minor,
        **git,
        "buildDate": "2026-01-01T00:00:00Z",
        **python,
        "platform": "linux/amd64",
    }


def page_not_found() -> Answer:
    """What is no path of the API at all."""
    return text_answer("404 page not found\n", 404)


def answer(request: Request, parts: list[str], kinds: Kinds) -> Answer | None:
    """The answer to a discovery request; None when the path is no such one."""
    root, *names = parts
    if not names:
        return _root(request, root, kinds)
    if root == "apis" and len(names) == 1:
        group = next((g for g in _groups(kinds) if g["name"] == names[0]), None)
        return json_answer({"kind": "APIGroup", "apiVersion": "v1", **group}) if group else page_not_found()
    if len(names) != (2 if root == "apis" else 1):
        return None
    found = _kinds_of(kinds, "/".join(names))
    resources = [entry for kind in found for entry in _entries(kind)]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "/".join(names)}
    return json_answer({**head, "resources": resources}) if found else page_not_found()


def _root(request: Request, root: str, kinds: Kinds) -> Answer:
    """`/api` or `/apis`: aggregated, when that is accepted before plain JSON."""
    for accepted in request.accept.split(","):
        pieces = {piece.strip() for piece in accepted.split(";")}
        if pieces >= set(_AGGREGATED.split(";")) - {"application/json"}:
            return Answer(200, encode(_aggregated(root, kinds)), _AGGREGATED)
        if pieces in ({"application/json"}, {"*/*"}, {"application/*"}):
            break
    if root == "api":
        return json_answer({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    return json_answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(kinds)})


def _kinds_of(kinds: Kinds, api_version: str) -> list[Kind]:
    return sorted((kind for kind in kinds if kind.api_version == api_version), key=lambda kind: kind.plural)


def _described(kind: Kind) -> Json:
    names = {"shortNames": kind.short, "categories": kind.categories}
    return {"verbs": kind.verbs, **{name: value for name, value in names.items() if value}}


# --- single documents ------------------------------------------------------------------------------------------------


def _groups(kinds: Kinds) -> list[Json]:
    groups = []
    for group, versions in kinds.groups().items():
        listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
        groups.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
    return [group for group in groups if group["name"]]


def _entries(kind: Kind) -> Iterator[Json]:
    entry = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
    }
    yield {**entry, **_described(kind)}
    for name in kind.subresources:
        api_version, other, verbs = _PARTS[name]
        group, _, number = api_version.partition("/")
        part = {**entry, "name": f"{kind.plural}/{name}", "singularName": "", "kind": other or kind.kind}
        yield {**part, **({"group": group, "version": number} if group else {}), "verbs": verbs.split()}


# --- one document ----------------------------------------------------------------------------------------------------


def _aggregated(root: str, kinds: Kinds) -> Json:
    items = []
    for group, versions in kinds.groups().items():
        if bool(group) == (root == "apis"):
            found = [(v, _kinds_of(kinds, f"{group}/{v}".strip("/"))) for v in versions]
            told = [
                {"version": v, "resources": [*map(_resource, of)], "freshness": "Current"} for v, of in found
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": told})
    head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
    return {**head, "items": items}


def _resource(kind: Kind) -> Json:
    group, number = (kind.group, kind.version) if kind.custom else ("", "")
    return {
        "resource": kind.plural,
        "responseKind": {"group": group, "version": number, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        **_described(kind),
        "subresources": [_part(kind, name) for name in kind.subresources],
    }


def _part(kind: Kind, name: str) -> Json:
    api_version, other, verbs = _PARTS[name]
    group, _, number = api_version.partition("/")
    response = {"group": group, "version": number, "kind": other or kind.kind}
    return {"subresource": name, "responseKind": response, "verbs": verbs.split()}
