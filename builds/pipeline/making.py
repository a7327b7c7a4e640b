"""Makes one image: builds and pushes it, in a thread beside those of other images.

The thread does not use the database. What it does it tells by notes, which the job's main thread writes under the fence; lines
of the log go straight to the journal, each in the part of its step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from adapters.docker import context
from adapters.docker.building import BUILDKIT, Built, Recipe, needs_buildkit
from adapters.docker.context import Context
from adapters.docker.faults import BuildFailed, DiskFull, ImmutableTag
from adapters.docker.pushing import Pushed
from adapters.docker.session import Login
from adapters.errors import ExternalError
from builds.models import BuiltImage
from builds.pipeline import mounts, registries
from builds.pipeline.bases import place, taken
from builds.pipeline.orders import ImageOrder
from builds.pipeline.registries import Known
from builds.pipeline.work import Tools
from runs.models import StepState
from ui.words import size

Answer = TypeVar("Answer")
Log = Callable[..., None]
State = BuiltImage.State
PAUSES = (2.0, 8.0)  # seconds before a step that an outside system failed is tried again
MOST_STEPS = 32_767  # that a row can hold
TELL_SECONDS = 5.0  # between two lines about the progress of a push


@dataclass(frozen=True)
class Note:
    """What the main thread is to write. `state`: of the step, None for none; `changes`: columns of the image's row; `error`: why
    the image was not made; `is_over`: the thread ends."""

    order: ImageOrder
    step: str = ""
    state: StepState | None = None
    summary: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    is_over: bool = False


class Maker:
    """Makes one image; `make` is the thread's function."""

    def __init__(self, order: ImageOrder, tools: Tools, notes: SimpleQueue[Note], log: Log) -> None:
        self.order, self.tools, self.notes, self._log = order, tools, notes, log
        self._step = ""

    def make(self) -> None:
        """Makes the image. Raises nothing: an error is a note."""
        try:
            self._make()
        except Exception as error:  # noqa: BLE001 - the thread's edge: the main thread sorts and raises it
            self.notes.put(Note(self.order, error=error))
        finally:
            self.notes.put(Note(self.order, is_over=True))

    def _make(self) -> None:
        with self._in_step("build", State.BUILDING) as done:
            known = self._trying(partial(registries.look, self.order, self.say))
            image = None if self.order.is_fresh else known.image(self.order)
            if image is not None:
                tags = self._trying(partial(registries.tag_existing, self.order, known, image, self.say))
                self.say(
                    f"The registry has this revision already ({image.digest}); it is not built again", "info"
                )
                changes = {"digest": image.digest, "size": image.size, "tags": tags, "state": State.EXISTED}
                done("in the registry already", changes)
            else:
                registries.refuse_rebuild(self.order, known)
                built, seconds = self._timed(self._build)
                done(_built(built), {**_facts(built), "build_seconds": seconds})
        if image is not None:
            with self._in_step("push", None) as done:
                done("nothing to push", {})
            return
        with self._in_step("push", State.PUSHING) as done:
            pushed, seconds = self._timed(partial(self._push, built, known))
            done(size(pushed["size"]), {**pushed, "push_seconds": seconds, "state": State.SUCCEEDED})

    @contextmanager
    def _in_step(self, part: str, state: State | None) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
        """A step, which begins and fails by notes; the block calls what it gets with summary and changes at its end."""
        self._step = f"{part} {self.order.name}"
        changes = {"state": state, "sentence": ""} if state else {}
        self.notes.put(Note(self.order, self._step, StepState.RUNNING, changes=changes))
        try:
            yield lambda summary, found: self.notes.put(
                Note(self.order, self._step, StepState.SUCCEEDED, summary, found)
            )
        except ExternalError as error:
            if not self.tools.stopper.is_set:
                self._failed(error)
            raise

    def _failed(self, error: ExternalError) -> None:
        self.say(error.message, "error")
        if error.hint:
            self.say(error.hint, "info")
        state = StepState.FAILED if is_fault_of_revision(error) else StepState.ERRORED
        changes = {"state": State.FAILED, "sentence": error.message[:500]}
        self.notes.put(Note(self.order, self._step, state, error.message, changes))

    def say(self, text: str, level: str = "info") -> None:
        """Writes a line into the part of the current step."""
        self._log(text, level=level, step=self._step)

    def _timed(self, function: Callable[[], Answer]) -> tuple[Answer, float]:
        began = time.monotonic()
        return function(), round(time.monotonic() - began, 2)

    def _trying(self, function: Callable[[], Answer]) -> Answer:
        """Calls `function`, and again after a pause when an outside system failed in a way that may pass."""
        for pause in PAUSES:
            try:
                return function()
            except ExternalError as error:
                if error.permanent or self.tools.stopper.is_set:
                    raise
                wait = max(pause, min(error.retry_after or 0.0, 30.0))
                self.say(f"{error.message} Tried again in {wait:.0f} s.", "warning")
                if self.tools.stopper.wait(wait):
                    raise
        return function()

    def _build(self) -> Built:
        order, tools = self.order, self.tools
        planned = context.plan(
            tools.snapshot,
            directory=order.directory,
            dockerfile=order.dockerfile,
            most_bytes=tools.most_bytes,
        )
        self._tell_context(planned)
        self._check_triggers(planned)
        secrets = self._secrets_for(planned)
        cache = self._cache()
        recipe = Recipe(
            name=f"{order.place.reference}:{order.tags[0]}", dockerfile=planned.dockerfile, target=order.target,
            platform=order.platform, arguments=order.arguments, labels=order.labels, secrets=secrets, logins=tools.logins,
            cache_from=cache, inline_cache=self._writes_cache(), is_fresh=order.is_fresh, silence=tools.silence,
            network=tools.network, watch=partial(tools.guard.watch, order.pk),
        )  # fmt: skip
        return self._trying(partial(self._built_once, recipe, planned))

    def _built_once(self, recipe: Recipe, planned: Context) -> Built:
        pointers: list[str] = []
        built = self.tools.engine.build(
            recipe, context.stream(planned, pointers=pointers.append), self.say, self.tools.stopper
        )
        if pointers:
            self.say(f"Kept in Git LFS, so only pointers came into the context: {_some(pointers)}", "warning")
        return built

    def _tell_context(self, planned: Context) -> None:
        left_out = f", {planned.left_out} left out by .dockerignore" if planned.left_out else ""
        self.say(f"The context: {len(planned.wanted)} files, {size(planned.size)}{left_out}", "info")
        if planned.submodules:
            self.say(f"Submodules are left out: {_some(planned.submodules)}", "warning")
        if planned.escaping:
            self.say(
                f"Links that lead out of the context are not followed: {_some(planned.escaping)}", "warning"
            )

    def _check_triggers(self, planned: Context) -> None:
        """Triggers of base images must not take what the Dockerfile may not. Raises BuildFailed."""
        order, tools = self.order, self.tools
        for base in taken(planned.text, order.arguments).bases:
            if base != "scratch" and "$" not in base:
                login = tools.logins.get(place(base)[0])
                ask = partial(
                    tools.engine.triggers, base, login, tools.stopper, silence=tools.silence, is_fresh=order.is_fresh
                )  # fmt: skip
                tools.guard.check_triggers(order.pk, base, self._trying(ask))

    def _secrets_for(self, planned: Context) -> dict[str, bytes]:
        """The secrets that the Dockerfile mounts. Raises BuildFailed when the engine cannot give them."""
        wanted = mounts.secret_ids(planned.text)
        if wanted and self.tools.engine.facts().builder != BUILDKIT:
            raise needs_buildkit()
        missing = [name for name in wanted if name not in self.tools.secrets]
        if missing:
            self.say(
                f"The Dockerfile mounts secrets that the project does not have: {_some(missing)}", "warning"
            )
        return {name: self.tools.secrets[name] for name in wanted if name in self.tools.secrets}

    def _cache(self) -> str:
        """The branch's last image, where the engine does not have its layers itself; empty for none."""
        order, tools = self.order, self.tools
        name = f"{order.place.reference}:{order.cache_tag}"
        if order.is_fresh or not tools.engine.facts().shares_cache or tools.engine.has_image(name):
            return ""
        if tools.engine.facts().builder == BUILDKIT:
            return name if self._is_there(order.cache_tag) else ""
        login = tools.logins[order.host]
        pulled = tools.engine.pull(
            order.place.reference, order.cache_tag, login, tools.stopper, silence=tools.silence
        )
        return name if pulled else ""

    def _writes_cache(self) -> bool:
        facts = self.tools.engine.facts()
        return facts.shares_cache and facts.builder == BUILDKIT

    def _is_there(self, tag: str) -> bool:
        try:
            return tag in self.order.place.ecr.digests(self.order.place.repository, [tag])
        except ExternalError:
            return False

    def _push(self, built: Built, known: Known) -> dict[str, Any]:
        """Pushes the revision's tags; what the registry then has is what counts. In the engine the image also becomes the cache
        of the branch's next build."""
        first, *others = self.order.tags
        self.tools.engine.tag(built.engine_id, self.order.place.reference, self.order.cache_tag)
        pushed = self._trying(partial(self._push_tag, built, first))
        tags = [first]
        for tag in others:
            other = known.images.get(tag)
            moved = other is not None and other.digest != pushed.digest
            if moved and registries.may_not_move(self.order, known, tag, self.say):
                continue
            self._push_one_more(built, tag, pushed)
            tags.append(tag)
        facts = self._trying(partial(registries.check, self.order, pushed.digest))
        self.say(f"Pushed {self.order.place.reference}@{facts.digest} as {', '.join(tags)}", "info")
        return {"digest": facts.digest, "size": facts.size, "tags": tags}

    def _push_one_more(self, built: Built, tag: str, pushed: Pushed) -> None:
        """Pushes a further tag."""
        try:
            self._trying(partial(self._push_tag, built, tag))
        except ImmutableTag:
            if not registries.has_digest(self.order, tag, pushed.digest):
                raise

    def _push_tag(self, built: Built, tag: str) -> Pushed:
        place, tools = self.order.place, self.tools
        tools.engine.tag(built.engine_id, place.reference, tag)
        login: Login = tools.logins[self.order.host]
        return tools.engine.push(
            place.reference, tag, login, tools.stopper, silence=tools.silence, progress=self._progress()
        )

    def _progress(self) -> Callable[[int, int], None]:
        """Writes a line about what was sent, now and then."""
        last = time.monotonic()

        def tell(sent: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= TELL_SECONDS:
                last = time.monotonic()
                self.say(f"{size(sent)} of {size(total)} sent", "info")

        return tell


def is_fault_of_revision(error: Exception) -> bool:
    """Whether the Dockerfile, its context or a base image is at fault, not the engine or the registry."""
    return isinstance(error, BuildFailed) and not isinstance(error, DiskFull)


def _facts(built: Built) -> dict[str, Any]:
    counts = {"steps": min(built.steps, MOST_STEPS), "cached_steps": min(built.cached, MOST_STEPS)}
    return {"engine_id": built.engine_id, **counts}


def _built(built: Built) -> str:
    steps = "1 step" if built.steps == 1 else f"{built.steps} steps"
    return f"{steps}, {built.cached} from the cache" if built.cached else steps


def _some(names: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
