"""What an environment may touch: checked before anything is read from its cluster, so that a manifest can neither change nor
show what belongs to others.

The kubeconfig's rights usually reach further than one environment, so the portal keeps environments apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deployments.preparation.prepare import NotDeployable
from engine.manifests.documents import Document
from engine.types import ENVIRONMENT_LABEL, Manifest
from people.services import admins_text
from projects.allotting.rules import Reach, named, not_allotted, reach_of
from projects.allotting.services import sentence
from projects.allotting.wishes import of_environment, once
from projects.models import Environment


def check_allotted(environment: Environment) -> None:
    """Checks that what the environment's settings name is still allotted to its project. Raises NotDeployable."""
    missing = not_allotted(environment.project, once(of_environment(environment)))
    _refuse([sentence(environment.project, wish) for wish in missing], "")


def check_objects_are_ours(
    environment: Environment, manifests: Sequence[Manifest], documents: Sequence[Document] = ()
) -> None:
    """Checks that every object lives in the environment's namespace or is allotted to the environment, and that no document
    bears the label of another environment. Raises NotDeployable with every problem."""
    reach = reach_of(environment)
    problems = [*_beyond(reach, manifests), *_labelled(environment, documents)]
    admins = admins_text()
    hint = f"An admin{f' ({admins})' if admins else ''} can allot them to this environment. Nothing was changed on the cluster."
    _refuse(problems, hint)


def _beyond(reach: Reach, manifests: Sequence[Manifest]) -> Iterator[str]:
    for manifest in manifests:
        ref = manifest.ref
        if reach.allows(ref.kind, ref.group, ref.namespace, ref.name):
            continue
        where = (
            f"is for the namespace {ref.namespace}, not {reach.namespace}"
            if ref.namespace
            else f"belongs to no namespace ({named(ref.kind, ref.group)})"
        )
        yield f"{manifest.source}: {ref.kind} {ref.name} {where}, and is not allotted to this environment."


def _labelled(environment: Environment, documents: Sequence[Document]) -> Iterator[str]:
    for document in documents:
        label = ((document.body.get("metadata") or {}).get("labels") or {}).get(ENVIRONMENT_LABEL)
        if label not in (None, "", environment.label):
            yield f"{document.source}: the label {ENVIRONMENT_LABEL} names another environment."


def _refuse(problems: list[str], hint: str) -> None:
    if not problems:
        return
    more = f" And {len(problems) - 1} more." if problems[1:] else ""
    raise NotDeployable(f"{problems[0]}{more}", problems=tuple(problems), hint=hint)
