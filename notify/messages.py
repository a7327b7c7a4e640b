"""Makes the text of Slack messages from the payload of an outbox row. Without queries or calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ui.words import duration

MOST = 2900  # characters; Slack takes 3000 in a block
SIGNS = {
    "running": ":hourglass_flowing_sand:",
    "succeeded": ":white_check_mark:",
    "failed": ":x:",
    "errored": ":warning:",
    "timed_out": ":alarm_clock:",
    "cancelled": ":no_entry_sign:",
    "abandoned": ":no_entry_sign:",
}
WORDS = {
    "running": "is being deployed to",
    "succeeded": "runs in",
    "failed": "failed in",
    "errored": "could not be deployed to",
    "timed_out": "did not become ready in time in",
    "cancelled": "was cancelled in",
    "abandoned": "was given up in",
}


@dataclass(frozen=True)
class Message:
    """A Slack message: `text` (plain, for notifications), `blocks` (Block Kit), `details` (text for its thread, or empty)."""

    text: str
    blocks: list[dict[str, Any]]
    details: str


_FORMATTING = re.compile(r"[*~`]|(?<!\w)_|_(?!\w)")  # `_` within a word formats nothing
_BEFORE = "\u200b"  # Slack has no way to escape these; behind this character of no width they format nothing
_OBJECTS = 3  # that failed, in the details


def escaped(text: object) -> str:
    """Text on one line that Slack shows as it is: `&`, `<` and `>` are reserved in its mrkdwn (Slack docs, "Formatting text")."""
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _FORMATTING.sub(rf"{_BEFORE}\g<0>", " ".join(plain.split()))


def moment(stamp: int, clock: str) -> str:
    """A time of day, which Slack shows in the reader's zone; `clock` where it cannot."""
    return f"<!date^{stamp}^{{time}}|{escaped(clock)}>"


def deploy_message(facts: dict[str, Any]) -> Message:
    """The message about a deploy in its current state. `facts`: as from `deployments.gate.announcements.facts`."""
    state = str(facts["state"])
    again = " again" if facts.get("failures") and state != "succeeded" else ""
    head = f"{escaped(_what(facts))} {WORDS.get(state, state)} {escaped(facts['environment'])}{again}"
    link = f"<{facts['url']}|#{facts['number']}>"
    by = f"by {escaped(facts['actor'])}"
    if facts.get("seconds") and state != "running":
        by += f" · {duration(facts['seconds'])}"
    lines = [
        f"{SIGNS.get(state, '')} *{head}* {link}",
        f"_{escaped(facts['subject'])}_ · {by}" if facts["subject"] else by,
        *_failures(facts),
    ]
    if facts.get("failures") and _went_badly(state) and facts.get("result"):
        lines.append(escaped(facts["result"]))
    if facts.get("reason"):
        lines.append(f"Reason: {escaped(facts['reason'])}")
    lines += _rollback(facts)
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": _cut("\n".join(lines))}}]
    return Message(text=f"{head} (#{facts['number']})", blocks=blocks, details=_cut(_details(facts)))


def _what(facts: dict[str, Any]) -> str:
    kinds = {
        "rollback": f"(roll back to {facts['revision']})",
        "secrets": f"{facts['revision']} (secrets alone)",
    }
    return f"{facts['project']} {kinds.get(facts['kind'], facts['revision'])}"


def _went_badly(state: str) -> bool:
    return state not in ("running", "succeeded")


def _cut(text: str) -> str:
    """As much of it as Slack takes in one block. An entity or link at the end is not cut in two."""
    if len(text) <= MOST:
        return text
    return re.sub(r"(&\w*|<[^>]*)$", "", text[:MOST]) + "…"


def _failures(facts: dict[str, Any]) -> list[str]:
    """How often the same thing failed in a row, where more than one try is told in this message."""
    count = int(facts.get("failures") or 0)
    if not count:
        return []
    since = moment(facts["failing_since"], facts["failing_clock"])
    if facts["state"] == "succeeded":
        return [f"Well again after {_times(count, 'failure')} since {since}."]
    if count == 1:
        return [f"Failed once before, at {since}."]
    last = moment(facts["failed_last"], facts["failed_clock"])
    return [f"Failed {count} times since {since}, last at {last}."]


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _rollback(facts: dict[str, Any]) -> list[str]:
    """The rollback that follows, in the first message."""
    if not facts.get("rollback_number"):
        return []
    link, to = f"<{facts['rollback_url']}|#{facts['rollback_number']}>", escaped(facts["rollback_revision"])
    state = str(facts.get("rollback_state") or "")
    if not state:
        return [f":leftwards_arrow_with_hook: Rollback to {to} follows: {link}"]
    if state == "succeeded":
        return [f":leftwards_arrow_with_hook: Rolled back to {to}: {link}"]
    word = escaped(state.replace("_", " "))
    return [f":rotating_light: The rollback to {to} did not succeed ({word}): {link}"]


def _details(facts: dict[str, Any]) -> str:
    """What stands in the thread: why it failed and what serves, or how its rollback ended, or that it is well again. Further
    tries of the same thing add nothing there."""
    if facts.get("rollback_state"):
        return "\n".join([*_rollback(facts), escaped(facts.get("rollback_result") or "")]).strip()
    if facts.get("failures"):
        return "\n".join(_failures(facts)) if facts["state"] == "succeeded" else ""
    if not _went_badly(str(facts["state"])):
        return ""
    said = [escaped(facts[key]) for key in ("result", "hint") if facts.get(key)]
    others = [one for one in facts.get("objects", []) if one not in str(facts.get("result"))]
    said[1:1] = [f"• {escaped(one)}" for one in others[:_OBJECTS]]
    if facts.get("cancelled_by") and facts["cancelled_by"] not in str(facts.get("result")):
        said.append(f"Cancelled by {escaped(facts['cancelled_by'])}.")
    return "\n".join(said)


REQUESTS = {
    "waiting": (":raised_hand:", "waits for approval"),
    "approved": (":white_check_mark:", "was approved"),
    "refused": (":no_entry_sign:", "was refused"),
    "withdrawn": (":leftwards_arrow_with_hook:", "was withdrawn"),
    "stale": (":warning:", "is stale: another version became current"),
}


def request_message(facts: dict[str, Any]) -> Message:
    """The message about a change of secrets that another person has to approve, or that was decided. It counts keys, because a
    channel has readers who may not see their names; what people wrote beside it may name keys and is left out, too. `facts`:
    as from `secrets_ui.known.telling`."""
    sign, words = REQUESTS[str(facts["state"])]
    number = f"{facts['keys']} secret key{'' if facts['keys'] == 1 else 's'}"
    what = "Making a secret from the reference file" if facts["makes"] else f"A change of {number}"
    place = f"{escaped(facts['project'])} {escaped(facts['environment'])}"
    by = f" by {escaped(facts['decided_by'])}" if facts.get("decided_by") else ""
    head = f"{what} in {place} {words}{by}"
    body = f"{sign} *{head}* <{facts['url']}|Look>\nasked for by {escaped(facts['asked_by'])}"
    return Message(
        text=head,
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": _cut(body)}}],
        details="" if facts["state"] == "waiting" else f"It {words}{by}.",
    )


def trouble_text(facts: dict[str, Any]) -> str:
    """The text about workloads that fail between deploys, or about their end. `facts`: as from `deployments.gate.aftermath`;
    with a `number` the workloads fail after that deploy."""
    place = f"{escaped(facts['project'])} in {escaped(facts['environment'])}"
    when = moment(facts["since"], facts["clock"])
    number = facts.get("number")
    link = f"<{facts['url']}|{f'#{number}' if number else 'Look'}>"
    if facts["about"] == "over":
        names = ", ".join(escaped(name) for name in facts["names"])
        recovered = f"{names} recovered" if number else f"{place} recovered ({names})"
        return f":white_check_mark: *{recovered}* at {when} {link}"
    head = f"Deploy {link} succeeded, but since {when} it fails" if number else f"{place} fails since {when}"
    lines = [f":rotating_light: *{head}*" + ("" if number else f" {link}")]
    lines += [f"• {escaped(one['name'])}: {escaped(one['sentence'])}" for one in facts["troubles"]]
    return _cut("\n".join(lines))


def operations_text(facts: dict[str, Any]) -> str:
    """The text of a warning to operations, or of its end. `facts`: as from `notify.operations`; with `times` it tells of all
    the troubles of one kind that came after the first."""
    link = f" <{facts['link']}|Look>" if facts["link"] else ""
    text, often = _cut(escaped(facts["text"])), ""
    if facts.get("times"):
        since, last = (moment(*facts[name]) for name in ("since", "last"))
        often = f"\n{facts['times']} times since {since}, last at {last}."
    if facts["about"] == "over":
        return f":white_check_mark: *All well again.*{f' It was: {text}' if often else ''}{link}{often}"
    sign = ":rotating_light:" if facts["level"] == "failed" else ":warning:"
    return f"{sign} {text}{link}{often}"


def operations_message(facts: dict[str, Any]) -> Message:
    """As `operations_text`, as a message that is updated."""
    text = operations_text(facts)
    return Message(
        text=text, blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": text}}], details=""
    )
