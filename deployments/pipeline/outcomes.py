"""How a deploy ended: maps each error of the engine to a final state and to sentences about what was changed and what
still serves."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.errors import ExternalError, TimedOut, Unavailable
from deployments.gate import undoing
from deployments.gate.ending import evidence_of
from deployments.models import Deploy, ObjectState
from deployments.pipeline.stages import ReleaseIsBad
from deployments.pipeline.still_serving import what_still_serves
from deployments.pipeline.work import Work, keep_key_names
from deployments.preparation.prepare import NotDeployable
from engine.cluster.apply import ApplyError
from engine.cluster.client import ApiError
from engine.errors import ManifestError, SlipwayError
from engine.types import ObjectStatus, Progress
from runs.life.ending import as_stored
from runs.life.hooks import End
from runs.models import State
from ui.words import duration


def succeeded(work: Work) -> str:
    """The result of a deploy that succeeded."""
    if work.held:
        more = f" And {len(work.held) - 1} more." if len(work.held) > 1 else ""
        return f"{work.deploy.short} is applied in {work.environment.name}, but does not run everywhere. {work.held[0]}{more}"
    if work.deploy.kind == Deploy.Kind.SECRETS:
        return f"{work.deploy.short} runs in {work.environment.name} with its new secrets; every object is ready."
    return f"{work.deploy.short} runs in {work.environment.name}; every object is ready."


def cancelled(work: Work) -> End:
    """The end of a cancelled deploy: who cancelled, what stays applied, which rollback follows."""
    who = Deploy.objects.values_list("cancelled_by", flat=True).get(pk=work.deploy.pk) or "Somebody"
    count, total = written(work)
    rollback = undoing.follower(work.deploy)
    if rollback is None:
        hint = "Roll back to undo what was applied." if count else ""
        return End(State.CANCELLED, f"{who} cancelled it. {what_was_left(work)}", hint)
    done = f"{count} of {total} objects had been written" if count else "Nothing was changed on the cluster"
    return End(State.CANCELLED, f"{who} cancelled it. {done}; {undoing.sentence(rollback)}.")


def timed_out(work: Work) -> End:
    """The end at the time limit, with the first object that was not ready."""
    waiting = ObjectState.objects.filter(run_id=work.deploy.run_id, progress=Progress.PROGRESSING).first()
    reason = f" {waiting.ref}: {waiting.sentence}" if waiting else ""
    limit = duration(work.environment.deploy_timeout)
    return End(State.TIMED_OUT, f"It was not done within {limit}.{reason}", what_was_left(work))


def failed(work: Work, error: SlipwayError) -> End:
    """The end for an error: `failed` or `timed_out` when the release is at fault, `errored` when the portal or an outside
    system is. Keeps the names of secret keys that the error carries. Raises FenceLost."""
    keep_key_names(work, error.key_names)
    if isinstance(error, ReleaseIsBad):
        return release_is_bad(work, error)
    if isinstance(error, ApplyError):
        return not_applied(work, error)
    if isinstance(error, (ManifestError, NotDeployable)):
        return not_deployable(work, error)
    if isinstance(error, (ExternalError, ApiError)):
        hint = error.hint or (
            "Deploy again when it answers." if isinstance(error, (Unavailable, TimedOut)) else ""
        )
        return End(State.ERRORED, error.message, f"{hint} {what_was_left(work)}".strip())
    return End(State.ERRORED, error.message, error.hint)


def release_is_bad(work: Work, error: ReleaseIsBad) -> End:
    """The rollout ended before every object was ready."""
    result = error.result
    return End(
        State.TIMED_OUT if result.timed_out else State.FAILED,
        error.message,
        f"{error.hint} {still(work, result.failures)}".strip(),
        tuple(evidence_of(status) for status in result.failures),
    )


def not_applied(work: Work, error: ApplyError) -> End:
    """The cluster refused an object, or an object that the next stage needs did not become ready."""
    bad = [s for s in error.statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT)]
    late = bool(bad) and all(s.progress == Progress.TIMED_OUT for s in bad)
    return End(
        State.TIMED_OUT if late else State.FAILED,
        error.message,
        f"{error.hint} {still(work, error.statuses)}".strip(),
        tuple(evidence_of(status) for status in bad),
    )


def not_deployable(work: Work, error: ManifestError | NotDeployable) -> End:
    """The revision, its images or its secrets files have an error. Logs every problem that the log does not have."""
    in_log = isinstance(error, NotDeployable) and error.in_log
    for problem in () if in_log else error.problems:
        work.log(problem, level="error")
    left = what_was_left(work)
    return End(
        State.FAILED,
        error.message,
        error.hint if left in error.hint else f"{error.hint} {left}".strip(),
        tuple({"sentence": problem, "ref": "", "hint": ""} for problem in error.problems),
    )


def written(work: Work) -> tuple[int, int]:
    """Number of objects that this deploy has created or changed so far, and number of all its objects."""
    rows = ObjectState.objects.filter(run_id=work.deploy.run_id)
    return undoing.written(work.deploy), len(work.manifests) or rows.count()


def what_was_left(work: Work) -> str:
    """How many objects this deploy has changed on the cluster, in a sentence."""
    count, total = written(work)
    if not count:
        return "Nothing was changed on the cluster."
    return f"{count} of {total} objects had been written and stay as they are."


def still(work: Work, statuses: Sequence[ObjectStatus]) -> str:
    """What still serves, else what was changed, in sentences. Of `statuses` only failed and timed out ones count."""
    if not written(work)[0]:
        return "Nothing was changed on the cluster."
    bad = {str(s.ref) for s in statuses if s.progress in (Progress.FAILED, Progress.TIMED_OUT)}
    serving = what_still_serves(work, bad)
    if serving:
        note_serving(work, serving)
    return serving or what_was_left(work)


def note_serving(work: Work, serving: str) -> None:
    """Keeps apart what still serves: the page shows it beside what to do. Raises FenceLost."""
    with work.fence.held():
        Deploy.objects.filter(pk=work.deploy.pk).update(still_serving=as_stored(serving)[:500])
