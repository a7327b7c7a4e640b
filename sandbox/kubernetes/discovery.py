"""Which groups, versions and kinds are served: the two ways of telling it, single documents and one aggregated."""

from __future__ import annotations

import platform

from engine.types import Json
from sandbox.kubernetes import VERSION
from sandbox.kubernetes.kinds import Kind, Kinds
from sandbox.kubernetes.requests import Answer, Request, json_answer, text_answer
from sandbox.kubernetes.store import encode

_STATUS_VERBS = ["get", "patch", "update"]
# kind, group, version and verbs of subresources that are of another kind than their parent
_OTHER = {
    "scale": ("Scale", "autoscaling", "v1", _STATUS_VERBS),
    "eviction": ("Eviction", "policy", "v1", ["create"]),
    "token": ("TokenRequest", "authentication.k8s.io", "v1", ["create"]),
    "binding": ("Binding", "", "", ["create"]),
    "log": ("", "", "", ["get"]),
    "finalize": ("", "", "", ["update"]),
}


def version() -> Json:
    """`/version`: that of the server whose behaviour is simulated; the commit says what it is."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": VERSION,
        "gitCommit": "simulated",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": "simulated",
        "platform": "linux/amd64",
    }


def answer(request: Request, parts: list[str], kinds: Kinds) -> Answer | None:
    """The answer to a discovery request; None when the path is no such one."""
    if parts in (["api"], ["apis"]):
        return _roots(request, parts[0], kinds)
    if parts[0] == "apis" and len(parts) == 2:
        group = next((g for g in _groups(kinds) if g["name"] == parts[1]), None)
        return json_answer({"kind": "APIGroup", "apiVersion": "v1", **group}) if group else page_not_found()
    if len(parts) == (2 if parts[0] == "api" else 3):
        group_name, version_name = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        return _resources(group_name, version_name, kinds)
    return None


def page_not_found() -> Answer:
    """What is no path of the API at all."""
    return text_answer("404 page not found\n", 404)


def _roots(request: Request, root: str, kinds: Kinds) -> Answer:
    for part in request.accept.split(","):
        pieces = {piece.strip() for piece in part.split(";")}
        if {"as=APIGroupDiscoveryList", "g=apidiscovery.k8s.io", "v=v2"} <= pieces:
            form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            return Answer(200, encode(_aggregated(root, kinds)), form)
        if pieces & {"application/json", "*/*", "application/*"} and len(pieces) == 1:
            break
    if root == "api":
        return json_answer({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
    return json_answer({"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups(kinds)})


def _groups(kinds: Kinds) -> list[Json]:
    groups = []
    for group, versions in kinds.groups().items():
        listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in versions]
        if group:
            groups.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
    return groups


def _resources(group: str, version_name: str, kinds: Kinds) -> Answer:
    found = [k for k in kinds if (k.group, k.version) == (group, version_name)]
    if not found:
        return page_not_found()
    resources = [entry for kind in sorted(found, key=lambda k: k.plural) for entry in _entries(kind)]
    head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": found[0].api_version}
    return json_answer({**head, "resources": resources})


def _entries(kind: Kind) -> list[Json]:
    entry: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    return [entry, *(_sub_entry(kind, name) for name in kind.subresources)]


def _sub_entry(kind: Kind, name: str) -> Json:
    other, group, version_name, verbs = _OTHER.get(name, ("", "", "", _STATUS_VERBS))
    of_group = {"group": group, "version": version_name} if group else {}
    entry = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    return {**entry, **of_group, "kind": other or kind.kind, "verbs": verbs}


def _aggregated(root: str, kinds: Kinds) -> Json:
    items = []
    for group, versions in kinds.groups().items():
        if bool(group) == (root == "apis"):
            described = [_aggregated_version(group, v, kinds) for v in versions]
            metadata = {"name": group} if group else {}
            items.append({"metadata": metadata, "versions": described})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_version(group: str, version_name: str, kinds: Kinds) -> Json:
    found = [k for k in kinds if (k.group, k.version) == (group, version_name)]
    resources = [_aggregated_kind(kind) for kind in sorted(found, key=lambda k: k.plural)]
    return {"version": version_name, "resources": resources, "freshness": "Current"}


def _aggregated_kind(kind: Kind) -> Json:
    entry: Json = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group if kind.custom else "", "version": "", "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.custom:
        entry["responseKind"]["version"] = kind.version
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [_aggregated_sub(kind, name) for name in kind.subresources]
    return entry


def _aggregated_sub(kind: Kind, name: str) -> Json:
    other, group, version_name, verbs = _OTHER.get(name, ("", "", "", _STATUS_VERBS))
    answer_kind = {"group": group, "version": version_name, "kind": other or kind.kind}
    return {"subresource": name, "responseKind": answer_kind, "verbs": verbs}
