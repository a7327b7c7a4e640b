"""Which groups, versions and kinds are served: the two ways of telling it, single documents and one aggregated."""

from __future__ import annotations

from collections.abc import Iterator

from engine.types import Json
from sandbox.kubernetes import VERSION
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, Request, json_answer, text_answer
from sandbox.kubernetes.store import encode

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Group, version and kind of subresources that are no part of their parent's kind, and verbs.
_PARTS = {
    "scale": ("autoscaling", "v1", "Scale", "get patch update"),
    "eviction": ("policy", "v1", "Eviction", "create"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", "create"),
    "log": ("", "", "", "get"),
    "finalize": ("", "", "", "update"),
    "status": ("", "", "", "get patch update"),
}


def version() -> Json:
    """`/version`: the version of the server whose behaviour is simulated; the other members name the simulation."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    more = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
    return {"major": major, "minor": minor, "gitVersion": VERSION, **dict.fromkeys(more, "simulated")}


def page_not_found() -> Answer:
    """The answer to a path that the API does not have."""
    return text_answer("404 page not found\n", 404)


def answer(request: Request, parts: list[str], kinds: Kinds) -> Answer | None:
    """The answer to a discovery request; None when the path is no such one."""
    root, *names = parts
    if not names:
        return _root(root, kinds, aggregated=_AGGREGATED in request.accept.replace(" ", ""))
    if root == "apis" and len(names) == 1:
        group = next((g for g in _groups(kinds) if g["name"] == names[0]), None)
        return json_answer({"kind": "APIGroup", "apiVersion": "v1", **group}) if group else page_not_found()
    if len(names) != (2 if root == "apis" else 1):
        return None
    resources = [entry for kind in _served(kinds, "/".join(names)) for entry in _entries(kind)]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "/".join(names)}
    return json_answer({**head, "resources": resources}) if resources else page_not_found()


def _root(root: str, kinds: Kinds, *, aggregated: bool) -> Answer:
    """`/api` or `/apis`."""
    if aggregated:
        groups = {group: of for group, of in kinds.groups().items() if bool(group) == (root == "apis")}
        items = [_aggregated(group, versions, kinds) for group, versions in groups.items()]
        head = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}}
        return Answer(200, encode({**head, "items": items}), _AGGREGATED)
    if root == "api":
        return json_answer({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    return json_answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(kinds)})


def _served(kinds: Kinds, api_version: str) -> list[Kind]:
    return sorted((kind for kind in kinds if kind.api_version == api_version), key=lambda kind: kind.plural)


def _parts(kind: Kind) -> Iterator[tuple[str, Json, list[str]]]:
    """The subresources of a kind: name, description, verbs."""
    for name in kind.subresources:
        group, number, other, verbs = _PARTS[name]
        yield name, {"group": group, "version": number, "kind": other or kind.kind}, verbs.split()


def _described(kind: Kind) -> Json:
    names = {"shortNames": kind.short, "categories": kind.categories}
    return {"verbs": kind.verbs, **{name: value for name, value in names.items() if value}}


# --- single documents ------------------------------------------------------------------------------------------------


def _groups(kinds: Kinds) -> list[Json]:
    groups = []
    for group, versions in kinds.groups().items():
        listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
        groups.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
    return groups[1:]  # the first is the one without a name


def _entries(kind: Kind) -> Iterator[Json]:
    entry = {"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced}
    yield {**entry, "kind": kind.kind, **_described(kind)}
    for name, what, verbs in _parts(kind):
        part = {"name": f"{kind.plural}/{name}", "singularName": "", "verbs": verbs}
        yield {**entry, **part, **{k: v for k, v in what.items() if v}}


# --- one document ----------------------------------------------------------------------------------------------------


def _aggregated(group: str, versions: list[str], kinds: Kinds) -> Json:
    told = []
    for number in versions:
        resources = [_resource(kind) for kind in _served(kinds, f"{group}/{number}".lstrip("/"))]
        told.append({"version": number, "resources": resources, "freshness": "Current"})
    return {"metadata": {"name": group}, "versions": told}


def _resource(kind: Kind) -> Json:
    group, number = (kind.group, kind.version) if kind.custom else ("", "")
    return {
        "resource": kind.plural,
        "responseKind": {"group": group, "version": number, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        **_described(kind),
        "subresources": [{"subresource": n, "responseKind": w, "verbs": v} for n, w, v in _parts(kind)],
    }
