"""APIs that the API server passes on to a service (APIService). When such a service is down, only deploys with objects of its API
are affected."""

from __future__ import annotations

from engine.cluster.client import ApiError, Client, Resource, find
from engine.manifests.references import mapping_of, mappings_of
from engine.types import Json

_PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
_AWAY = (502, 503, 504)


def discover(client: Client, group: str, version: str) -> list[Resource]:
    """The kinds of a group and version; empty when the server does not serve it. Raises ApiError; when the service behind
    the API is down, the error names it."""
    try:
        return client.discover(group, version)
    except ApiError as error:
        if error.status not in _AWAY or not group:
            raise
        reason = _why_down(client, group, version)
        if not reason:
            raise
        raise ApiError(
            f"The cluster cannot serve {group}/{version} now, of which this deploy has objects: {reason}.",
            status=error.status,
            reason="ServiceUnavailable",
            hint=f"Repair that service, or delete the APIService {version}.{group} if nobody needs it.",
        ) from error


def _why_down(client: Client, group: str, version: str) -> str:
    """The reason why the service behind an API is down, in the API server's words; empty when there is no such service."""
    try:
        body = find(client, f"{_PATH}/{version}.{group}") or {}
    except ApiError:
        return ""
    service = mapping_of(mapping_of(body.get("spec")).get("service"))
    if not service:
        return ""
    condition = _available(body)
    where = f"its service {service.get('namespace')}/{service.get('name')}"
    if condition.get("status") == "True":
        return f"{where} does not answer"
    return f"{where} is not available ({condition.get('message') or 'no reason given'})"


def _available(body: Json) -> Json:
    conditions = mappings_of(mapping_of(body.get("status")).get("conditions"))
    return next((one for one in conditions if one.get("type") == "Available"), {})
