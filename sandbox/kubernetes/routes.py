"""From a request to its answer: reads the path, checks the right, calls the operation, renders the result.

Raises Refused wherever the API refuses.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.types import Json
from sandbox.kubernetes import aggregation, bodies, discovery, escalation, podsecurity, subresources
from sandbox.kubernetes.access import Access, Act, act_on
from sandbox.kubernetes.apply import Manager
from sandbox.kubernetes.faults import PATH, Faults
from sandbox.kubernetes.kinds import Kind
from sandbox.kubernetes.openapi import OpenApi
from sandbox.kubernetes.operations import Change, Deletion, Operations
from sandbox.kubernetes.refusals import Refused, about, bad_request, expired, invalid, invalid_value
from sandbox.kubernetes.rendering import listed, renderer
from sandbox.kubernetes.requests import APPLY, Answer, Call, Request, form_of, json_answer, text_answer
from sandbox.kubernetes.selectors import field_test, label_test
from sandbox.kubernetes.store import Stored, encode
from sandbox.kubernetes.watching import Watch, Watches

# the verb of each method that makes sense for an object, for all objects of a kind, for a part of an object
_PART = {"GET": "get", "PUT": "update", "PATCH": "patch"}
_ONE = {**_PART, "DELETE": "delete"}
_ALL = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_PARTS = {"status": _PART, "scale": _PART, "log": {"GET": "get"}, "finalize": {"PUT": "update"}}
_PARTS |= {part: {"POST": "create"} for part in subresources.CREATED}
_WATCH_SECONDS = 1800.0
_POLICIES = ("", "Foreground", "Background", "Orphan")
_ANSWERED_WHOLE = ("pods", "services", "serviceaccounts", "persistentvolumeclaims")  # when they are deleted


@dataclass
class Routes:
    """Answers requests."""

    operations: Operations
    watches: Watches
    access: Access
    openapi: OpenApi
    faults: Faults

    async def answer(self, request: Request) -> Answer:
        """The answer to a request of a known user."""
        parts = [part for part in request.path.split("/") if part]
        path = ["apis", "", *parts[1:]] if parts[:1] == ["api"] else parts
        if path[:1] != ["apis"] or len(path) < 4:
            return aggregation.answer(self.operations.store, path) or self._outside(request, parts)
        _, group, version, *rest = path
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and (group or rest[2] not in ("status", "finalize")):
            _, namespace, *rest = rest
        plural, name, part, *more = [*rest, "", ""]
        if down := aggregation.answer(self.operations.store, path):
            return down
        kind = self.operations.kinds.find(group, version, plural)
        if kind is None and group not in self.operations.kinds.groups():
            return discovery.page_not_found()
        if kind is None or any(more) or (namespace and not kind.namespaced):
            raise _no_such_path()
        call = Call(request, _verb(request, kind, namespace, name, part), kind, namespace, name, part)
        home = name if kind.key == ("", "namespaces") else namespace
        self.access.require(request.user, act_on(kind, call.verb, home, name, part))
        if part == "log":
            return await subresources.log(call, self.operations)
        return self._do(call)

    def _outside(self, request: Request, parts: list[str]) -> Answer:
        """Paths that are no objects."""
        self.access.require(request.user, Act(request.method.lower(), path=request.path))
        root = parts[0] if parts else ""
        if root in ("healthz", "livez", "readyz"):
            return text_answer("ok")
        if request.path == PATH:
            wanted, _ = bodies.parse(request)
            told = self.faults.order(str(wanted.get("fault")), wanted.get("seconds"))
            return json_answer({"message": told})
        if parts == ["version"]:
            return json_answer(discovery.version())
        if root == "openapi":
            return self.openapi.answer(parts)
        found = discovery.answer(request, parts, self.operations.kinds) if root in ("api", "apis") else None
        return found or discovery.page_not_found()

    def _do(self, call: Call) -> Answer:
        doing = {"get": self._get, "list": self._list, "watch": self._watch, "create": self._create}
        doing |= {"update": self._update, "patch": self._update, "delete": self._delete}
        doing |= {"deletecollection": self._delete_all}
        return doing[call.verb](call, form_of(call.request))

    # --- one object --------------------------------------------------------------------------------------------------

    def _get(self, call: Call, form: str) -> Answer:
        return self._one(call, form, self.operations.get(call.kind, call.namespace, call.name))

    def _one(self, call: Call, form: str, stored: Stored, status: int = 200) -> Answer:
        if call.subresource == "scale":
            return json_answer(subresources.scale_of(stored.body), status)
        data = renderer(call.kind, form, include=_include(call))(stored)
        if call.verb not in ("get", "list") and not call.subresource:
            call.request.warnings.extend(podsecurity.warnings(self.operations.store, call.kind, stored.body))
        warnings = ", ".join(f"299 - {json.dumps(words)}" for words in call.request.warnings)
        return Answer(status, data + b"\n", headers={"Warning": warnings} if warnings else {})

    def _operations(self, call: Call, body: Json | None = None) -> Operations:
        """All that can be done; in a dry run with no effect. Raises Refused (422) for options that do not fit."""
        query, applying = call.request.query, call.request.content_type == APPLY
        fits = {
            "dryRun": query.get("dryRun", "") in ("", "All"),
            "fieldValidation": query.get("fieldValidation", "") in ("", "Ignore", "Strict", "Warn"),
            "fieldManager": bool(query.get("fieldManager")) or not applying,
            "force": applying or call.verb != "patch" or "force" not in query,
        }
        if causes := [
            invalid_value(name, query.get(name), "no such") for name, fit in fits.items() if not fit
        ]:
            raise invalid(f"{call.verb.title()}Options", "meta.k8s.io", "", causes)
        dry_run = query.get("dryRun") == "All" or (body or {}).get("dryRun") == ["All"]
        return replace(self.operations, dry_run=True) if dry_run else self.operations

    def _create(self, call: Call, form: str) -> Answer:
        request, kind, part = call.request, call.kind, call.subresource
        operations, body = self._operations(call), bodies.read(request, subresources.SHAPES.get(part, kind))
        if part:
            return json_answer(subresources.CREATED[part](call, body, operations, self.access), 201)
        if kind.verbs == ("create",):
            return json_answer(subresources.review(call, body, self.access), 201)
        self._may_grant(call, body)
        stored = operations.create(kind, call.namespace, body, manager=Manager(request.manager))
        return self._one(call, form, stored, 201)

    def _update(self, call: Call, form: str) -> Answer:
        """PUT and PATCH, of an object or of a part of it."""
        request, kind, part, where = call.request, call.kind, call.subresource, (call.namespace, call.name)
        operations = self._operations(call)
        if request.content_type == APPLY:
            manager, force = Manager(request.manager, "Apply", part), request.flag("force")
            config = bodies.read(request, kind)
            self._may_grant(call, config)
            stored, is_new = operations.apply(kind, *where, config, manager=manager, force=force)
            return self._one(call, form, stored, 201 if is_new else 200)
        change = bodies.change_of(request, subresources.SHAPES.get(part, kind))
        change = subresources.scaled(change) if part == "scale" else self._granting(call, change)
        stored = operations.update(kind, *where, change, manager=Manager(request.manager, "Update", part))
        return self._one(call, form, stored)

    def _may_grant(self, call: Call, body: Json) -> None:
        """Raises Refused (403) for roles and bindings that grant more than their author has."""
        named = {**body, "metadata": {"name": call.name, "namespace": call.namespace, **body["metadata"]}}
        escalation.check(self.access, self.operations.store, call.request.user, call.kind, named)

    def _granting(self, call: Call, change: Change) -> Change:
        def checked(old: Json) -> Json:
            new = change(old)
            self._may_grant(call, new)
            return new

        return checked

    def _delete(self, call: Call, form: str) -> Answer:
        how, operations = self._deletion(call)
        stored, gone = operations.delete(call.kind, call.namespace, call.name, how)
        if not gone or (call.kind.group == "" and call.kind.plural in _ANSWERED_WHOLE):
            return Answer(200, stored.data + b"\n")
        details = {**about(call.kind, call.name), "uid": stored.body["metadata"]["uid"]}
        return json_answer({**subresources.SUCCESS, "details": details})

    def _deletion(self, call: Call) -> tuple[Deletion, Operations]:
        """How to delete, from the body (DeleteOptions) and the query, which counts more. Raises Refused (400, 422)."""
        body: Json = bodies.parse(call.request)[0] if call.request.body else {}
        policy = call.request.query.get("propagationPolicy") or body.get("propagationPolicy") or ""
        if policy not in _POLICIES:
            cause = invalid_value("propagationPolicy", policy, "must be Foreground, Background or Orphan")
            raise invalid("DeleteOptions", "meta.k8s.io", "", [cause])
        grace, only = call.request.number("gracePeriodSeconds"), body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds") if grace is None else grace
        how = Deletion(policy, grace, only.get("uid") or "", only.get("resourceVersion") or "")
        return how, self._operations(call, body)

    # --- many objects ------------------------------------------------------------------------------------------------

    def _selected(self, call: Call) -> list[Stored]:
        matches = _matcher(call)
        return [s for s in self.operations.store.all(call.kind.key, call.namespace) if matches(s.body)]

    def _delete_all(self, call: Call, form: str) -> Answer:
        (how, operations), found = self._deletion(call), self._selected(call)
        for stored in found:
            operations.delete(call.kind, *stored.key[1:], how)
        metadata = {"resourceVersion": str(self.operations.store.version)}
        return Answer(200, listed(call.kind, found, metadata, form, _include(call)))

    def _since(self, call: Call) -> int | None:
        """The version that a list or watch begins with; None for none. Raises Refused (400, 500, 504)."""
        text, version = call.request.query.get("resourceVersion", ""), self.operations.store.version
        if text in ("", "0"):
            return None
        if not text.isdecimal():
            words = f'invalid resource version: strconv.ParseUint: parsing "{text}": invalid syntax'
            raise Refused(500, "", words) if call.verb == "watch" else bad_request(words)
        if int(text) > version and call.verb != "watch":
            words = f"Timeout: Too large resource version: {text}, current: {version}"
            raise Refused(504, "Timeout", words, {"retryAfterSeconds": 1})
        return int(text)

    def _list(self, call: Call, form: str) -> Answer:
        request, store = call.request, self.operations.store
        limit, version = request.number("limit") or 0, store.version
        self._since(call)
        found = self._selected(call)
        if token := request.query.get("continue"):
            start, version = _read_token(token)
            if version < (oldest := store.oldest(call.kind.key)):
                raise expired(version, oldest)
            found = [s for s in found if list(s.key[1:]) > start]
        metadata: Json = {"resourceVersion": str(version)}
        if limit and len(found) > limit:
            last = encode([list(found[limit - 1].key[1:]), version])
            metadata["continue"] = base64.urlsafe_b64encode(last).decode()
            if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(found) - limit
            found = found[:limit]
        return Answer(200, listed(call.kind, found, metadata, form, _include(call)) + b"\n")

    def _watch(self, call: Call, form: str) -> Answer:
        request, since = call.request, self._since(call)
        render = renderer(call.kind, form, include=_include(call), watch=True)
        bookmarks, initial = request.flag("allowWatchBookmarks"), request.flag("sendInitialEvents")
        watch = Watch(call.kind, call.namespace, _matcher(call), render, bookmarks)
        seconds = float(request.number("timeoutSeconds") or _WATCH_SECONDS)
        since = None if initial else since
        return Answer(stream=self.watches.follow(watch, since, initial=initial, seconds=seconds))


# --- what a request says ---------------------------------------------------------------------------------------------


def _verb(request: Request, kind: Kind, namespace: str, name: str, part: str) -> str:
    """The verb of a request, as roles name it. Raises Refused (404, 405)."""
    if part and (part not in kind.subresources or part not in _PARTS):
        raise _no_such_path()
    verbs = _PARTS[part] if part else _ONE if name else _ALL
    verb = verbs.get(request.method, "")
    homeless = verb == "create" and kind.namespaced and not namespace
    if verb not in kind.verbs or homeless:
        words = "the server does not allow this method on the requested resource"
        raise Refused(405, "MethodNotAllowed", words, {})
    return "watch" if verb == "list" and request.flag("watch") else verb


def _include(call: Call) -> str:
    """How much of each object a table carries."""
    return call.request.query.get("includeObject", "Metadata")


def _matcher(call: Call) -> Callable[[Json], bool]:
    """The test of both selectors. Raises Refused (400)."""
    labels = label_test(call.request.query.get("labelSelector", ""))
    fields = field_test(call.request.query.get("fieldSelector", ""), call.kind)
    return lambda body: labels(body["metadata"].get("labels") or {}) and fields(body)


def _read_token(token: str) -> tuple[list[str], int]:
    """Where a page begins (namespace and name of the one before), and the version of the first page."""
    try:
        start, version = json.loads(base64.urlsafe_b64decode(token))
        return list(start), int(version)
    except (ValueError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error


def _no_such_path() -> Refused:
    return Refused(404, "NotFound", "the server could not find the requested resource", {})
