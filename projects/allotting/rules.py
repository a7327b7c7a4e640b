"""Whether allotments cover what a project wants to use.

Of all patterns that fit a value, whichever project's, the closest ones count (`matching.closeness`): with `shop-*` for Shop
and `shop-admin-*` for Shop admin, the namespace shop-admin-staging is Shop admin's alone. Two projects share a value when
both have an equally close allotment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from projects.allotting.matching import closeness, matches, plain_address
from projects.allotting.wishes import Kind, Wish
from projects.models import Allotment, Environment, Project


def not_allotted(project: Project, wishes: Sequence[Wish]) -> list[Wish]:
    """The wishes that no allotment of the project covers, in one query."""
    gone = uncovered((project.pk, wish) for wish in wishes)
    return [wish for wish in wishes if (project.pk, wish) in gone]


def uncovered(
    wanted: Iterable[tuple[int, Wish]], *, without: Allotment | None = None
) -> set[tuple[int, Wish]]:
    """Those of many wishes, each with the pk of its project, that no allotment covers; one query. `without`: an allotment that is
    left out, as if it was withdrawn."""
    asked = set(wanted)
    if not asked:
        return set()
    book = _read_book({wish.kind for _, wish in asked}, without)
    return {(project, wish) for project, wish in asked if project not in _owners(wish, book)}


def of_others(project: Project, wishes: Iterable[Wish]) -> set[Wish]:
    """The wishes that are allotted to other projects and not to this one; one query. What is allotted to nobody is not in it."""
    asked = set(wishes)
    if not asked:
        return set()
    book = _read_book({wish.kind for wish in asked})
    owners = {wish: _owners(wish, book) for wish in asked}
    return {wish for wish in asked if owners[wish] and project.pk not in owners[wish]}


def _read_book(kinds: Iterable[str], without: Allotment | None = None) -> dict[_Where, dict[str, set[int]]]:
    rows = Allotment.objects.filter(kind__in=set(kinds), environment=None)
    if without is not None:
        rows = rows.exclude(pk=without.pk)
    return _book(rows.values_list("kind", "cluster", "registry", "pattern", "project"))


_Where = tuple[str, int | None, int | None]  # kind, cluster, registry


def _book(rows: Iterable[tuple[str, int | None, int | None, str, int]]) -> dict[_Where, dict[str, set[int]]]:
    """The projects by pattern, of each place."""
    book: dict[_Where, dict[str, set[int]]] = {}
    for kind, cluster, registry, pattern, project in rows:
        book.setdefault((kind, cluster, registry), {}).setdefault(_plain(kind, pattern), set()).add(project)
    return book


def _plain(kind: str, text: str) -> str:
    return plain_address(text) if kind == Kind.GIT else text


def _owners(wish: Wish, book: Mapping[_Where, Mapping[str, set[int]]]) -> set[int]:
    patterns, value = book.get((wish.kind, wish.cluster, wish.registry), {}), _plain(wish.kind, wish.value)
    if "*" not in value and value in patterns:
        return patterns[value]  # nothing is closer than the name itself
    fitting = [
        (closeness(pattern), owners) for pattern, owners in patterns.items() if matches(pattern, value)
    ]
    closest = max((close for close, _ in fitting), default=None)
    return {owner for close, owners in fitting if close == closest for owner in owners}


def fits(allotment: Allotment, wish: Wish) -> bool:
    """Whether an allotment is of the wish's kind and place, and its pattern fits; another project's may be closer."""
    place = (allotment.kind, allotment.cluster_id, allotment.registry_id, allotment.environment_id)
    pattern, value = (_plain(wish.kind, text) for text in (allotment.pattern, wish.value))
    return place == (wish.kind, wish.cluster, wish.registry, None) and matches(pattern, value)


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
