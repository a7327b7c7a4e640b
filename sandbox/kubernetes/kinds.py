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

# group/version: plural Kind [short names] +subresources; `*` marks kinds without a namespace, `!` those of the
# category `all`, `-` those that can only be created (reviews).
_TABLE = """
v1: configmaps ConfigMap cm | endpoints Endpoints ep | events Event ev | limitranges LimitRange limits
    *namespaces Namespace ns +finalize +status | *nodes Node no +status
    persistentvolumeclaims PersistentVolumeClaim pvc +status | *persistentvolumes PersistentVolume pv +status
    !pods Pod po +binding +eviction +log +status | podtemplates PodTemplate
    !replicationcontrollers ReplicationController rc +scale +status | resourcequotas ResourceQuota quota +status
    secrets Secret | serviceaccounts ServiceAccount sa +token | !services Service svc +status
apps/v1: controllerrevisions ControllerRevision | !daemonsets DaemonSet ds +status
    !deployments Deployment deploy +scale +status | !replicasets ReplicaSet rs +scale +status
    !statefulsets StatefulSet sts +scale +status
batch/v1: !cronjobs CronJob cj +status | !jobs Job +status
autoscaling/v2: !horizontalpodautoscalers HorizontalPodAutoscaler hpa +status
networking.k8s.io/v1: ingresses Ingress ing +status | *ingressclasses IngressClass | networkpolicies NetworkPolicy netpol
policy/v1: poddisruptionbudgets PodDisruptionBudget pdb +status
rbac.authorization.k8s.io/v1: roles Role | rolebindings RoleBinding | *clusterroles ClusterRole
    *clusterrolebindings ClusterRoleBinding
storage.k8s.io/v1: *storageclasses StorageClass sc | *csidrivers CSIDriver | *csinodes CSINode
scheduling.k8s.io/v1: *priorityclasses PriorityClass pc
coordination.k8s.io/v1: leases Lease
discovery.k8s.io/v1: endpointslices EndpointSlice
node.k8s.io/v1: *runtimeclasses RuntimeClass
apiextensions.k8s.io/v1: *customresourcedefinitions CustomResourceDefinition crd crds +status
apiregistration.k8s.io/v1: *apiservices APIService +status
admissionregistration.k8s.io/v1: *validatingwebhookconfigurations ValidatingWebhookConfiguration
    *mutatingwebhookconfigurations MutatingWebhookConfiguration
authentication.k8s.io/v1: -selfsubjectreviews SelfSubjectReview
authorization.k8s.io/v1: -selfsubjectaccessreviews SelfSubjectAccessReview | -selfsubjectrulesreviews SelfSubjectRulesReview
"""


@dataclass(frozen=True)
class Kind:
    """A kind as it is served under one group and version. `crd` is the definition of a custom one."""

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
    schema: Json | None = field(default=None, compare=False, repr=False)  # of a custom kind
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
        return self.custom or (self.group, self.kind) in _COUNTED


_COUNTED = {
    ("", "Pod"),
    ("", "ReplicationController"),
    ("apps", "Deployment"),
    ("apps", "ReplicaSet"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("networking.k8s.io", "IngressClass"),
    ("policy", "PodDisruptionBudget"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
    ("scheduling.k8s.io", "PriorityClass"),
    ("discovery.k8s.io", "EndpointSlice"),
}


class Kinds:
    """What is served now. Custom kinds come and go with their definitions."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str, str], Kind] = {}  # group, version, plural
        for kind in built_in_kinds():
            self._served[kind.group, kind.version, kind.plural] = kind

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._served.get((group, version, plural))

    def core(self, plural: str) -> Kind:
        return self._served["", "v1", plural]

    def get(self, group: str, plural: str) -> Kind:
        """The kind in any of its versions. Raises KeyError."""
        return next(k for k in self._served.values() if k.key == (group, plural))

    def of_object(self, api_version: str, kind: str) -> Kind | None:
        """The kind that an object, or a reference to it, names."""
        group, _, version = api_version.rpartition("/")
        found = (k for k in self._served.values() if (k.group, k.version, k.kind) == (group, version, kind))
        return next(found, None)

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._served.values()))

    def groups(self) -> dict[str, list[str]]:
        """Served versions of each group, in the order of the table, custom groups last."""
        groups: dict[str, list[str]] = {}
        for group, version, _ in self._served:
            versions = groups.setdefault(group, [])
            if version not in versions:
                versions.append(version)
        return groups

    def define(self, definition: Json) -> None:
        """Serves what a CustomResourceDefinition defines, as it is now."""
        self.forget(definition)
        for kind in kinds_of(definition):
            self._served[kind.group, kind.version, kind.plural] = kind

    def forget(self, definition: Json) -> None:
        """Serves it no longer."""
        spec = definition["spec"]
        for key in [k for k in self._served if (k[0], k[2]) == (spec["group"], spec["names"]["plural"])]:
            del self._served[key]


def kinds_of(definition: Json) -> Iterator[Kind]:
    """The kinds of a CustomResourceDefinition, one for each served version."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = tuple(s for s in ("scale", "status") if s in (version.get("subresources") or {}))
        yield Kind(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec["scope"] == "Namespaced",
            short=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=subresources,
            singular=names.get("singular") or names["kind"].lower(),
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            columns=tuple(version.get("additionalPrinterColumns") or ()),
            custom=True,
        )


def built_in_kinds() -> Iterator[Kind]:
    """The table."""
    group = version = ""
    for line in _TABLE.strip().splitlines():
        head, colon, rest = line.partition(": ") if not line.startswith(" ") else ("", "", line)
        if colon:
            group, _, version = head.rpartition("/")
        for entry in rest.split(" | "):
            yield _entry(group, version, entry.split())


def _entry(group: str, version: str, words: list[str]) -> Kind:
    marks, plural = words[0][: len(words[0]) - len(words[0].lstrip("*!-"))], words[0].lstrip("*!-")
    return Kind(
        group=group,
        version=version,
        plural=plural,
        kind=words[1],
        namespaced="*" not in marks and "-" not in marks,
        short=tuple(w for w in words[2:] if not w.startswith("+")),
        categories=("all",) if "!" in marks else (),
        subresources=tuple(w[1:] for w in words[2:] if w.startswith("+")),
        verbs=("create",) if "-" in marks else ALL_VERBS,
        singular=words[1].lower(),
    )
