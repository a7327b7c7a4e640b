"""Whether allotments cover what a project wants to use.

Of all patterns that fit a value, whichever project's, the closest ones count (`matching.closeness`): with `shop-*` for Shop
and `shop-admin-*` for Shop admin, the namespace shop-admin-staging is Shop admin's alone. Two projects share a value when
both have an equally close allotment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from projects.allotting.matching import closeness, matches
from projects.allotting.wishes import Kind, Wish, of_place
from projects.models import Allotment, Cluster, Environment, Project


def not_allotted(project: Project, wishes: Sequence[Wish]) -> list[Wish]:
    """The wishes that no allotment of the project covers, in one query."""
    if not wishes:
        return []
    rows = list(
        Allotment.objects.filter(kind__in={wish.kind for wish in wishes}, environment=None).values_list(
            "kind", "cluster", "registry", "pattern", "project"
        )
    )
    return [wish for wish in wishes if project.pk not in _owners(wish, rows)]


def _owners(wish: Wish, rows: Iterable[tuple[str, int | None, int | None, str, int]]) -> set[int]:
    place = (wish.kind, wish.cluster, wish.registry)
    fitting = [
        (closeness(pattern), project)
        for *where, pattern, project in rows
        if tuple(where) == place and matches(pattern, wish.value)
    ]
    closest = max((close for close, _ in fitting), default=None)
    return {project for close, project in fitting if close == closest}


def allotted_places(cluster: Cluster, places: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
    """Of places in a cluster (project's primary key, namespace) those whose namespace is allotted to that project. One query."""
    rows = Allotment.objects.filter(kind=Kind.NAMESPACE, cluster=cluster, environment=None)
    plain: dict[str, set[int]] = {}
    wide: list[tuple[str, int | None, int | None, str, int]] = []
    for pattern, project in rows.values_list("pattern", "project"):
        if "*" in pattern:
            wide.append((Kind.NAMESPACE, cluster.pk, None, pattern, project))
        else:
            plain.setdefault(pattern, set()).add(project)  # closer than any pattern
    return {
        (project, namespace)
        for project, namespace in places
        if project in (plain.get(namespace) or _owners(of_place(cluster, namespace)[0], wide))
    }


def fits(allotment: Allotment, wish: Wish) -> bool:
    """Whether an allotment is of the wish's kind and place, and its pattern fits; another project's may be closer."""
    place = (allotment.kind, allotment.cluster_id, allotment.registry_id, allotment.environment_id)
    return place == (wish.kind, wish.cluster, wish.registry, None) and matches(allotment.pattern, wish.value)


@dataclass(frozen=True)
class Reach:
    """Where, besides its own namespace, an environment's objects may live. `namespaces`, `kinds`: patterns."""

    namespace: str
    namespaces: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def allows(self, kind: str, group: str, namespace: str, name: str) -> bool:
        """Whether an object may be applied. `namespace` is empty for objects of kinds without one; their patterns are
        `ClusterRole.rbac.authorization.k8s.io` (every name) or `Namespace/shop-*`."""
        if namespace:
            return namespace == self.namespace or any(matches(one, namespace) for one in self.namespaces)
        whole = named(kind, group)
        return any(matches(one, f"{whole}/{name}" if "/" in one else whole) for one in self.kinds)


def named(kind: str, group: str) -> str:
    """A kind with its group, as patterns name it: `Namespace`, `ClusterRole.rbac.authorization.k8s.io`."""
    return f"{kind}.{group}" if group else kind


def reach_of(environment: Environment) -> Reach:
    """What admins have allotted to the environment's objects."""
    rows = list(Allotment.objects.filter(environment=environment).values_list("kind", "pattern"))
    return Reach(
        environment.namespace,
        tuple(pattern for kind, pattern in rows if kind == Kind.OBJECTS_IN),
        tuple(pattern for kind, pattern in rows if kind == Kind.OBJECTS_OF),
    )
