"""Data that passes between the parts of the engine and to those who call it. Nothing here does anything."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]

FIELD_MANAGER = "slipway"
ENVIRONMENT_LABEL = "slipway.dev/environment"
OBJECT_ANNOTATION = "slipway.dev/object"
PHASE_ANNOTATION = "slipway.dev/phase"  # predeploy | postdeploy
WAIT_ANNOTATION = "slipway.dev/wait"  # "false": applied, not watched
TIMEOUT_ANNOTATION = "slipway.dev/timeout"  # e.g. 10m
SETTLE_ANNOTATION = "slipway.dev/settle"  # seconds, e.g. 30; 0: not watched after it is ready
MIN_READY_ANNOTATION = "slipway.dev/min-ready"  # never: no `minReadySeconds` is added
FENCE_ANNOTATION = (
    "slipway.dev/fence"  # the deploy before which no older one may write (engine/cluster/marking.py)
)
ADDED_ANNOTATION = "slipway.dev/added"  # which field was added at rendering, and why


@dataclass(frozen=True, order=True)
class ObjectRef:
    """Names one object of a cluster. `group` is empty for the core API, `namespace` for cluster-scoped kinds."""

    kind: str
    group: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """The form of the annotation `slipway.dev/object`: `Deployment.apps/shop/web`.

        The core group leaves out the dot, as Kubernetes' own GroupKind does: `ConfigMap/shop/web`, `Namespace//shop`.
        """
        kind = f"{self.kind}.{self.group}" if self.group else self.kind
        return f"{kind}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        """The reverse of `str()`. Raises ValueError when the text is not such a reference."""
        kind_group, namespace, name = text.split("/", 2)
        kind, _, group = kind_group.partition(".")
        return cls(kind=kind, group=group, namespace=namespace, name=name)


@dataclass(frozen=True)
class Source:
    """Where an object was read: path relative to the config directory, line of its first key (from 1)."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Manifest:
    """One object to apply. `body` is complete (apiVersion, kind, metadata with its namespace) and treated as read-only."""

    ref: ObjectRef
    version: str  # of the API, without the group: v1, v1beta1
    body: Json = field(repr=False)  # may hold secret values: a printed manifest names the object only
    source: Source
    secrets_file: str = ""  # path of the reference file, when the body comes from a populated secrets file
    filled: tuple[
        tuple[str, str, str], ...
    ] = ()  # name, value, type of the variables filled into a Secret from Git

    @property
    def api_version(self) -> str:
        """The `apiVersion` as manifests write it: `apps/v1`, `v1`."""
        return f"{self.ref.group}/{self.version}" if self.ref.group else self.version


class Action(enum.StrEnum):
    """What applying an object does, or would do."""

    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"


class Progress(enum.StrEnum):
    """How far one object of a deploy is. The same words stand in the database and on the page."""

    PENDING = "pending"  # not applied yet
    APPLIED = "applied"  # applied; nothing to wait for, or not yet known
    PROGRESSING = "progressing"  # its rollout is under way
    READY = "ready"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True)
class ClusterEvent:
    """One event of the cluster about an object. `count`: how often it was seen; `object`: `Pod/web-6f8b9c7d55-pz4mn`."""

    type: str  # Normal or Warning
    reason: str
    text: str
    count: int = 1
    object: str = ""

    def __str__(self) -> str:
        """As a log line has it: `Warning BackOff (x5): Back-off restarting failed container`."""
        repeated = f" (x{self.count})" if self.count > 1 else ""
        return f"{self.type} {self.reason}{repeated}: {self.text}"


@dataclass(frozen=True)
class Evidence:
    """What the cluster showed of one container when something failed. Texts are as the API server gave them: redact before
    storing. `others`: the other containers of its pod and of the object's other pods, the worst first; `more_pods`: how many
    pods there were besides."""

    pod: str = ""
    container: str = ""
    reason: str = ""  # the kubelet's word: CrashLoopBackOff, ImagePullBackOff, …
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0
    events: tuple[
        ClusterEvent, ...
    ] = ()  # about the pod, newest last; only with the first container of each pod
    logs: tuple[str, ...] = ()  # last lines of the current container
    previous_logs: tuple[str, ...] = ()  # last lines of the container before the last restart
    node: str = ""  # where the pod was placed; empty: nowhere yet
    is_init: bool = False
    is_ready: bool = False
    signal: str = ""  # SIGKILL, SIGSEGV, … where one ended it
    limits: tuple[str, ...] = ()  # `memory 64Mi`
    others: tuple[Evidence, ...] = ()
    more_pods: int = 0


@dataclass(frozen=True)
class PodNote:
    """A pod that is not ready. `since`, `waits_since`: when it was made, and since when it waits for `waits` ("readiness probe"),
    as the cluster wrote them; `allowed`: seconds within which that is to pass, 0 where nothing says; `said`: what the probe
    answered last, or what is wrong, as the API server gave it: redact before storing."""

    name: str
    phase: str  # in words: "no node yet", "runs, not ready"
    since: str = ""
    waits: str = ""
    waits_since: str = ""
    allowed: float = 0.0
    said: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class PodsShown:
    """The new pods of an object: how many are ready and wanted, and those that are not ready; `more`: not listed."""

    ready: int
    wanted: int
    waiting: tuple[PodNote, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class ObjectStatus:
    """One object's state in a deploy, as told to the observer and kept as a row. `pods`: None where it has none."""

    ref: ObjectRef
    progress: Progress
    action: Action | None = None
    sentence: str = ""  # "2 of 3 replicas ready"; for failures the cause in one plain sentence
    hint: str = ""  # what to do about it
    evidence: Evidence | None = None
    pods: PodsShown | None = None


@dataclass(frozen=True)
class RolloutResult:
    """The end of a rollout. `ok` only when everything watched became ready. `held`: sentences about workloads that
    do not replace their pods by themselves, while pods of before run."""

    ok: bool
    timed_out: bool
    statuses: tuple[ObjectStatus, ...] = ()
    warnings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[ObjectStatus, ...]:
        return tuple(s for s in self.statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT))


class Observer(Protocol):
    """An observer of the engine's work: the pipeline, the command line, a test. Called from the thread that called the engine."""

    def line(self, text: str, *, level: str = "info") -> None:
        """One line for the log. `level`: info, warning, error."""

    def status(self, status: ObjectStatus) -> None:
        """An object's state changed."""

    def check(self) -> None:
        """Called at least once a second during waits and before each stage; raises to stop the engine (cancel, lost fence)."""

    def confirm(self) -> None:
        """Called before a write is repeated on an object that changed since it was planned. Like `check`, but asks now whether
        this deploy still is the one to write: what was known a moment ago may be old."""

    def is_sure(self) -> bool:
        """Whether it was confirmed so lately that nobody can have taken over since. Called from any thread, right before each
        write; where it is False, `confirm` follows."""
