"""How a build ended: maps each error to a final state and to sentences."""

from __future__ import annotations

from adapters.errors import ExternalError, TimedOut, Unavailable
from builds.models import Build, BuiltImage
from builds.pipeline.making import is_fault_of_revision
from builds.pipeline.work import ImagesFailed, NotBuildable, Trouble, Work
from builds.pushed import pushed_sentence
from builds.stored import build_settings
from engine.errors import SlipwayError
from runs.life.hooks import End
from runs.models import State
from ui.words import duration


def succeeded(work: Work) -> str:
    """The result of a build that succeeded."""
    rows = list(work.build.images.all())
    existed = [row for row in rows if row.state == BuiltImage.State.EXISTED]
    what = f"The image {rows[0].name}" if len(rows) == 1 else f"{len(rows)} images"
    verb = "is" if len(rows) == 1 else "are"
    if len(existed) == len(rows):
        return f"{what} of {work.build.short} {'was' if len(rows) == 1 else 'were'} in the registry already."
    more = f"; {len(existed)} of them had been there" if existed else ""
    return f"{what} of {work.build.short} {verb} in the registry{more}."


def cancelled(work: Work) -> End:
    """The end of a cancelled build: who cancelled, and what was pushed."""
    who = Build.objects.values_list("cancelled_by", flat=True).get(pk=work.build.pk) or "Somebody"
    return End(State.CANCELLED, f"{who} cancelled it. {left(work)}")


def timed_out(work: Work) -> End:
    """The end at the time limit."""
    limit = duration(build_settings(work.build.project_id).timeout)
    hint = "Raise the time limit in the project's build settings, or make the build faster."
    return End(State.TIMED_OUT, f"It was not done within {limit}.", f"{left(work)} {hint}")


def failed(work: Work, error: SlipwayError) -> End:
    """The end for an error: `failed` when the revision or its settings are at fault, `errored` when the engine, a registry, AWS
    or Git is."""
    if isinstance(error, ImagesFailed):
        return _images_failed(work, error)
    if isinstance(error, NotBuildable):
        return End(State.FAILED, error.message, error.hint)
    again = "Retry when it answers." if isinstance(error, (Unavailable, TimedOut)) else ""
    state = State.FAILED if is_fault_of_revision(error) else State.ERRORED
    return End(state, error.message, f"{error.hint or again} {left(work)}".strip())


def _images_failed(work: Work, error: ImagesFailed) -> End:
    ours = [one for one in error.troubles if is_fault_of_revision(one.error)]
    state = State.FAILED if ours else State.ERRORED
    return End(
        state,
        error.message,
        f"{error.hint} {left(work)}".strip(),
        tuple(_evidence(one) for one in error.troubles),
    )


def _evidence(trouble: Trouble) -> dict[str, str]:
    error: ExternalError = trouble.error
    return {"ref": trouble.image, "sentence": error.message, "hint": error.hint}


def left(work: Work) -> str:
    """What was pushed so far, in a sentence."""
    return pushed_sentence(list(work.build.images.all()))
