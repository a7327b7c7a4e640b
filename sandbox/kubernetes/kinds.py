"""Which kinds the server serves: a table of the built-in ones, and those of CustomResourceDefinitions.

Served in one version each; of the real server's kinds those are left out that nothing here would act on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from engine.types import Json
from sandbox.kubernetes.schema import Type, built_in_type, type_of_definition

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
ONE_BY_ONE = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

# group/version: Kind [short names] [+subresources] [?fields it is selected by] [=fields that never change] [marks]; of the
# marks `*` is for kinds without a namespace, `!` for those of the category `all`, `#` for those whose generations are
# counted, `-` for what can only be created, `1` for what is deleted one by one.
_TABLE = """
v1: ConfigMap cm | Endpoints ep | LimitRange limits | Namespace ns +finalize +status ?status.phase * 1
    | Event ev ?involvedObject.kind ?involvedObject.namespace ?involvedObject.name ?involvedObject.uid ?reason ?type ?source
    ?involvedObject.apiVersion ?involvedObject.resourceVersion ?involvedObject.fieldPath ?reportingComponent
    | Node no +status ?spec.unschedulable * | PersistentVolumeClaim pvc +status | PersistentVolume pv +status *
    | Pod po +eviction +log +status ?spec.nodeName ?spec.restartPolicy ?spec.schedulerName ?spec.serviceAccountName
    ?spec.hostNetwork ?status.phase ?status.podIP ?status.nominatedNodeName ! #
    | PodTemplate | ReplicationController rc +scale +status ! # | ResourceQuota quota +status
    | Secret ?type =type | ServiceAccount sa +token | Service svc +status !
apps/v1: ControllerRevision | DaemonSet ds +status =spec.selector ! # | StatefulSet sts +scale +status ! #
    | Deployment deploy +scale +status =spec.selector ! # | ReplicaSet rs +scale +status ?status.replicas =spec.selector ! #
batch/v1: CronJob cj +status ! #
    | Job +status ?status.successful =spec.completions =spec.selector =spec.template =spec.completionMode ! #
autoscaling/v2: HorizontalPodAutoscaler hpa +status !
networking.k8s.io/v1: Ingress ing +status # | IngressClass * # | NetworkPolicy netpol #
policy/v1: PodDisruptionBudget pdb +status #
rbac.authorization.k8s.io/v1: Role | RoleBinding =roleRef | ClusterRole * | ClusterRoleBinding =roleRef *
storage.k8s.io/v1: StorageClass sc * | CSIDriver * | CSINode *
scheduling.k8s.io/v1: PriorityClass pc * #
coordination.k8s.io/v1: Lease
discovery.k8s.io/v1: EndpointSlice #
node.k8s.io/v1: RuntimeClass *
apiextensions.k8s.io/v1: CustomResourceDefinition crd crds +status * #
apiregistration.k8s.io/v1: APIService +status *
admissionregistration.k8s.io/v1: ValidatingWebhookConfiguration * # | MutatingWebhookConfiguration * #
authentication.k8s.io/v1: SelfSubjectReview * -
authorization.k8s.io/v1: SelfSubjectAccessReview * - | SelfSubjectRulesReview * -
"""


def rows(table: str) -> dict[str, str]:
    """A table written as text. A row is `names: text`; indented lines continue it. Each name gets the text."""
    lines = table.strip().replace("\n    ", " ").split("\n")
    return {
        name: text for heads, _, text in (line.partition(": ") for line in lines) for name in heads.split()
    }


@dataclass(frozen=True)
class Kind:
    """A kind as it is served under one group and version. `schema` and `columns` are of custom ones."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    singular: str = ""
    selectable: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    counted: bool = True
    schema: Json | None = field(default=None, compare=False, repr=False)
    columns: tuple[Json, ...] = field(default=(), compare=False, repr=False)
    custom: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Under which its objects are stored: all versions together."""
        return self.group, self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_plural(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def type(self) -> Type:
        """The type of its objects."""
        if self.custom:
            return type_of_definition(self.kind, self.schema or {})
        return built_in_type(self.group, self.version, self.kind)

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def has_generation(self) -> bool:
        """Whether the server counts the versions of its spec."""
        return self.counted


class Kinds:
    """The kinds that are served now. Custom kinds come and go with their definitions."""

    def __init__(self) -> None:
        self._served = {(k.group, k.version, k.plural): k for k in built_in_kinds()}

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._served.get((group, version, plural))

    def core(self, plural: str) -> Kind:
        return self._served["", "v1", plural]

    def get(self, group: str, plural: str) -> Kind:
        """The kind in any of its versions. Raises KeyError."""
        return next(k for k in self if k.key == (group, plural))

    def of_object(self, api_version: str, kind: str) -> Kind | None:
        """The kind that an object, or a reference to it, names."""
        return next((k for k in self if k.kind == kind and k.api_version == api_version), None)

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._served.values()))

    def groups(self) -> dict[str, list[str]]:
        """Served versions of each group, in the order of the table, custom groups last."""
        groups: dict[str, list[str]] = {}
        for group, version in dict.fromkeys(at[:2] for at in self._served):
            groups.setdefault(group, []).append(version)
        return groups

    def define(self, definition: Json) -> None:
        """Serves the kinds of a CustomResourceDefinition in its present form."""
        self.forget(definition)
        self._served |= {(k.group, k.version, k.plural): k for k in kinds_of(definition)}

    def forget(self, definition: Json) -> None:
        """Serves it no longer."""
        gone = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        self._served = {at: kind for at, kind in self._served.items() if kind.key != gone}


def kinds_of(definition: Json) -> Iterator[Kind]:
    """The kinds of a CustomResourceDefinition, one for each served version."""
    spec = definition["spec"]
    names = spec["names"]
    for version in (version for version in spec["versions"] if version.get("served")):
        yield Kind(
            *(spec["group"], version["name"], names["plural"], names["kind"]),
            namespaced=spec["scope"] == "Namespaced",
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(sorted(version.get("subresources") or ())),
            singular=names.get("singular") or names["kind"].lower(),
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            columns=tuple(version.get("additionalPrinterColumns") or ()),
            custom=True,
        )


def built_in_kinds() -> Iterator[Kind]:
    """The table."""
    for api_version, entries in rows(_TABLE).items():
        group, _, version = api_version.rpartition("/")
        for words in (entry.split() for entry in entries.split(" | ")):
            kind, *short = (word for word in words if word[0].isalpha())
            yield Kind(
                *(group, version, _plural(kind.lower()), kind),
                namespaced="*" not in words,
                short=tuple(short),
                categories=("all",) if "!" in words else (),
                subresources=_marked("+", words),
                selectable=_marked("?", words),
                fixed=_marked("=", words),
                verbs=("create",) if "-" in words else ONE_BY_ONE if "1" in words else ALL_VERBS,
                singular=kind.lower(),
                counted="#" in words,
            )


def _marked(mark: str, words: list[str]) -> tuple[str, ...]:
    return tuple(word[1:] for word in words if word[0] == mark)


def _plural(word: str) -> str:
    """`Policy` to `policies`, as kubectl guesses it."""
    endings = {"endpoints": "", "y": "ies", "s": "es", "": "s"}
    return next(word.removesuffix("y") + more for ending, more in endings.items() if word.endswith(ending))
