"""Checks before the first write. The preview shows their findings; the pipeline stops at errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial

from core.findings import FAILED, PASSED, WARNING, Finding
from core.secret_values import digests_of
from deployments.preparation.other_images import check_other_images, named_images
from deployments.preparation.prepare import NotDeployable
from deployments.preparation.pull_check import check_pull_secret
from deployments.preparation.reference_check import check_references
from engine.cluster.changes import ObjectChange
from engine.cluster.client import Client
from engine.cluster.dryrun import dry_run
from engine.cluster.resources import ClusterKinds
from engine.errors import Cause
from engine.manifests.documents import Document
from engine.manifests.fieldlines import line_of_field
from engine.manifests.render import ImagePin
from engine.manifests.secretfiles import check_against_reference
from engine.types import Manifest, ObjectRef, Observer
from projects.models import Environment, Image
from projects.reference_files import reference_documents, samples_of
from projects.secret_files import Fetched
from projects.secret_names import counted
from registry.deploys import keeping


class WithFindings:
    """Base of results with findings: errors stop a deploy, warnings do not."""

    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop the deploy."""
        return tuple(finding for finding in self.findings if finding.state == FAILED)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that do not stop it."""
        return tuple(finding for finding in self.findings if finding.state == WARNING)

    @property
    def notes(self) -> tuple[Finding, ...]:
        """What is only said: the deploy sees to it."""
        return tuple(finding for finding in self.findings if finding.state == PASSED)

    @property
    def can_be_overridden(self) -> bool:
        """Whether something stops the deploy, and a person may deploy nevertheless, with a reason."""
        return bool(self.errors) and all(finding.can_override for finding in self.errors)


@dataclass(frozen=True)
class Preflight(WithFindings):
    """Every finding, and the result of the dry run for each object."""

    findings: tuple[Finding, ...]
    changes: tuple[ObjectChange, ...]

    def overridden(self, reason: str) -> Preflight:
        """The same with what may be overridden as warnings that say why; without a reason as it is."""
        if not reason:
            return self
        return replace(self, findings=tuple(_overridden(finding, reason) for finding in self.findings))


def _overridden(finding: Finding, reason: str) -> Finding:
    if finding.state != FAILED or not finding.can_override:
        return finding
    return replace(finding, state=WARNING, detail=f"Overridden for this deploy: {reason}")


def check_secrets_files(
    environment: Environment, documents: Sequence[Document], fetched: Sequence[Fetched]
) -> list[Finding]:
    """Compares each secrets file with its reference file: a missing key is an error, an extra key a warning, a placeholder
    an error or a warning as the environment is set. Only samples of the default branch count as placeholders."""
    findings: list[Finding] = []
    samples = samples_of(environment) if fetched else {}
    state = FAILED if environment.placeholders_stop else WARNING
    for one in fetched:
        reference = reference_documents(documents, one.path)
        result = check_against_reference(reference, one.documents, samples=samples.get(one.path, ()))
        hint = "Edit the secrets file in AWS Secrets Manager; the reference file in the repository names the keys."
        file = f"the secrets file {one.path}"
        findings += _of_keys(
            FAILED,
            f"T{file[1:]} lacks {{}} of its reference file.",
            result.missing,
            hint,
            Cause("secret-keys", place=one.path),
        )
        findings += _of_keys(
            WARNING, f"T{file[1:]} has {{}} too many: the reference file lacks what it has.", result.extra
        )
        findings += _of_keys(
            state,
            f"The value of {{}} of {file} still is a placeholder.",
            result.placeholders,
            hint,
            Cause("placeholders", place=one.path),
        )
    return findings


def _of_keys(
    state: str, sentence: str, keys: tuple[str, ...], hint: str = "", cause: Cause | None = None
) -> list[Finding]:
    """One finding for all these keys, which its sentence only counts; none without keys."""
    return [Finding(state, sentence.format(counted(keys)), hint, keys=keys, cause=cause)] if keys else []


def change_findings(
    changes: Sequence[ObjectChange], sources: Mapping[ObjectRef, str] | None = None
) -> list[Finding]:
    """Findings of the dry run: refused objects as errors; its warnings (such as those about replicas) and the takeover of
    fields from other managers as warnings. `sources`: file and line by object."""
    known = sources or {}

    def of(
        change: ObjectChange, state: str, text: str, hint: str = "", cause: Cause | None = None
    ) -> Finding:
        return Finding(state, text, hint, subject=known.get(change.ref, str(change.ref)), cause=cause)

    return [
        *(of(one, FAILED, one.error, one.hint, one.cause) for one in changes if one.error),
        *told_findings(changes, known),
        *(of(one, WARNING, one.warning, one.warning_hint) for one in changes if one.warning),
        *(of(one, WARNING, notice.text, notice.hint) for one in changes for notice in one.notices),
        *(
            of(one, WARNING, f"{one.ref.kind} {one.ref.name}: {one.yielded}.")
            for one in changes
            if one.yielded
        ),
        *_taken_over(changes),
    ]


def _taken_over(changes: Sequence[ObjectChange]) -> list[Finding]:
    """One warning for all objects of which fields of other managers are taken over."""
    taken = [change for change in changes if change.takes_over]
    if not taken:
        return []
    managers = sorted({manager for change in taken for manager in change.takes_over})
    text = (
        f"Slipway takes over the fields of {plural(len(taken), 'object')} from {', '.join(managers)}, once."
    )
    hint = (
        "From then on fields dropped from the manifests are removed; “kubectl apply” on them would conflict. The way back: deploy"
        " the revision that runs now, or “kubectl apply --server-side --force-conflicts” with the files of before."
    )
    return [Finding(WARNING, text, hint)]


def told_findings(changes: Sequence[ObjectChange], known: Mapping[ObjectRef, str]) -> list[Finding]:
    """The API server's own warnings, each once, with the first object that it was said of."""
    about: dict[str, list[ObjectChange]] = {}
    for change in changes:
        for text in change.told:
            about.setdefault(text, []).append(change)
    return [
        Finding(
            WARNING,
            f"The cluster warns: {text}",
            f"Of {plural(len(found), 'object')}." if len(found) > 1 else "",
            subject=known.get(found[0].ref, str(found[0].ref)),
        )
        for text, found in about.items()
    ]


def places(
    environment: Environment,
    changes: Sequence[ObjectChange],
    manifests: Sequence[Manifest],
    files: Mapping[str, bytes],
) -> dict[ObjectRef, str]:
    """Source (`kubernetes/staging/web.yaml:31`) of each object with an error or a warning: the line of the field where the
    answer names one, else of the object."""
    by_ref = {manifest.ref: manifest.source for manifest in manifests}
    found = {}
    for change in changes:
        if (
            change.error or change.warning or change.notices or change.told or change.yielded
        ) and change.ref in by_ref:
            source = by_ref[change.ref]
            field = change.field_errors[0] if change.field_errors else change.warned_field
            if field and source.file in files:
                source = line_of_field(files[source.file], source, field)
            found[change.ref] = f"{environment.config_directory}/{source}"
    return found


def check_objects(
    client: Client, kinds: ClusterKinds, environment: Environment, manifests: Sequence[Manifest], pins: Sequence[ImagePin],
    images: Mapping[str, Image], *, with_diff: bool, observer: Observer | None = None,
) -> tuple[list[Finding], list[ObjectChange]]:  # fmt: skip
    """Checks references, the pull secret and images of others in parallel with the dry run. Returns findings, and the dry run's
    changes. Raises ApiError when the cluster does not answer."""
    known = keeping(environment)
    kept = {(environment.namespace, environment.pull_secret)} if known.is_managed else set()
    others = named_images(environment.project, manifests)
    with ThreadPoolExecutor(max_workers=3) as pool:
        pulls = (environment.namespace, environment.pull_secret)
        references = pool.submit(
            copy_context().run, partial(check_references, client, manifests, kept=kept, pulls=pulls)
        )
        pull = pool.submit(copy_context().run, check_pull_secret, client, environment, pins, images, known)
        missing = pool.submit(copy_context().run, check_other_images, others)
        changes = dry_run(
            client,
            manifests,
            kinds=kinds,
            digest=digests_of(environment.label).here,
            with_diff=with_diff,
            observer=observer,
        )
        found = [*references.result(), *pull.result(), *missing.result()]
        return found, [_without_fields(change) for change in changes]


_KEY_FIELD = re.compile(r"\b(data|stringData)(?:\[[^\]]*\]|\.[-._a-zA-Z0-9]+)")


def _without_fields(change: ObjectChange) -> ObjectChange:
    """What a dry run says of a Secret, without the names of its keys; the diff has them, for people with the right."""
    if change.ref.kind != "Secret":
        return change
    return replace(
        change,
        error=_KEY_FIELD.sub(r"a key of \1", change.error),
        conflicts=tuple(_KEY_FIELD.sub(r"a key of \1", text) for text in change.conflicts),
        field_errors=(),
    )


OVERRIDE_HINT = "Or override it, with a reason: the box below the checks of the new deploy, or --override."


def stop_for(found: Preflight) -> None:
    """Raises NotDeployable when there are errors: the message has the first one and the number of the others; `problems` has
    all. The findings must be in the log."""
    if not found.errors:
        return
    first, count = found.errors[0], len(found.errors) - 1
    override = OVERRIDE_HINT if found.can_be_overridden else ""
    more = f" And {plural(count, 'more problem')}." if count else ""
    raise NotDeployable(
        f"{first.text}{more}",
        problems=tuple(finding.text for finding in found.errors),
        in_log=True,
        key_names={finding.text: finding.keys for finding in found.errors if finding.keys},
        hint=" ".join(
            part for part in (first.detail, override, "Nothing was changed on the cluster.") if part
        ),
    )


def plural(count: int, word: str) -> str:
    """`1 object`, `3 objects`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
