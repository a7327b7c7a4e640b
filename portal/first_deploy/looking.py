"""What the outside says about an environment before its first deploy: repository, cluster, registry. It is asked while a person
looks at the checklist; an answer is kept for some seconds, and asked for anew after each change that the audit tells of.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from django.core.cache import cache

from audit.models import AuditEvent
from projects.allotting.using import lost_places
from projects.image_availability import in_registry
from projects.models import Environment, Project
from projects.namespaces import Place, look_at
from projects.reachability import why_down
from projects.reading.scan import Scan, scan_folders

KEPT_SECONDS = 15


@dataclass(frozen=True)
class Seen:
    """What was seen for one environment. `has_images`: None where the registry did not answer; the newest revision's."""

    scan: Scan
    place: Place
    has_images: bool | None


def look(project: Project, environments: Sequence[Environment]) -> dict[int, Seen]:
    """What the outside says now, by the environment's pk. Takes some seconds at most. The environments come with project and
    cluster."""
    newest = (
        AuditEvent.objects.filter(project_slug=project.slug)
        .order_by("-id")
        .values_list("id", flat=True)
        .first()
    )
    key = f"first-deploy-{project.pk}-{newest}"
    kept: dict[int, Seen] = cache.get(key, {})
    if any(one.pk not in kept for one in environments):
        kept = _asked(project, environments)
        cache.set(key, kept, KEPT_SECONDS)
    return kept


def _asked(project: Project, environments: Sequence[Environment]) -> dict[int, Seen]:
    scans = scan_folders(project, {one.config_directory for one in environments})
    shas = {scan.sha for scan in scans.values() if scan.sha}
    built = in_registry(project, [*shas])
    places = _places(environments)
    found = ((one.pk, scans[one.config_directory]) for one in environments)
    return {pk: Seen(scan, places[pk], built.get(scan.sha)) for pk, scan in found}


def _places(environments: Sequence[Environment]) -> dict[int, Place]:
    """The namespaces, side by side. A cluster that was silent a moment ago is not asked again, nor about others' namespaces."""
    lost = lost_places(environments)
    down = {cluster: why_down(cluster) for cluster in {one.cluster_id for one in environments}}
    told = {
        one.pk: Place(error=reason)
        for one in environments
        if (reason := lost.get(one.pk) or down[one.cluster_id] or "")
    }
    due = [one for one in environments if one.pk not in told]
    if due:
        with ThreadPoolExecutor(max_workers=4) as pool:
            asked = {
                one.pk: pool.submit(copy_context().run, look_at, one.cluster, one.namespace) for one in due
            }
        told |= {pk: answer.result() for pk, answer in asked.items()}
    return told
