"""Progress deadlines of Deployments that were over before the first write.

Such a deadline is the one of an earlier rollout: it says nothing about this deploy, which may have healed what its pods wait
for, while the Deployment itself stays as it is. Pure functions over the API's JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.health.pods import condition
from engine.types import Json

_PROGRESSING = "Progressing"


def deadlines_over(bodies: Iterable[Json]) -> dict[str, str]:
    """By uid of the Deployments whose progress deadline is over: when their status said so."""
    found = {}
    for body in bodies:
        said = condition(body, _PROGRESSING)
        if said.get("reason") == "ProgressDeadlineExceeded":
            found[str(body["metadata"].get("uid") or "")] = str(said.get("lastUpdateTime") or "")
    return found


def without_old_deadline(body: Json, known: Mapping[str, str]) -> Json:
    """The object as its counts show it, where its deadline is one of the `known` ones; else as it is."""
    uid = str(body["metadata"].get("uid") or "")
    if uid not in known or deadlines_over([body]).get(uid) != known[uid]:
        return body
    status = body["status"]
    left = [one for one in status["conditions"] if one.get("type") != _PROGRESSING]
    return {**body, "status": {**status, "conditions": left}}
