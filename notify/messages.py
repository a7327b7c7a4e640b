"""Makes the text of Slack messages from the payload of an outbox row. Without queries or calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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


def escaped(text: object) -> str:
    """Text escaped for Slack's mrkdwn, which reserves `&`, `<` and `>` (Slack docs, "Formatting text")."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def deploy_message(facts: dict[str, Any]) -> Message:
    """The message about a deploy in its current state. `facts`: as from `deployments.gate.announcements.facts`."""
    state = str(facts["state"])
    what = f"{facts['project']} {facts['revision']}"
    if facts["kind"] == "rollback":
        what = f"{facts['project']} (roll back to {facts['revision']})"
    if facts["kind"] == "secrets":
        what = f"{facts['project']} {facts['revision']} (secrets alone)"
    head = f"{escaped(what)} {WORDS.get(state, state)} {escaped(facts['environment'])}"
    link = f"<{facts['url']}|#{facts['number']}>"
    lines = [
        f"{SIGNS.get(state, '')} *{head}* {link}",
        f"_{escaped(facts['subject'])}_ · by {escaped(facts['actor'])}",
    ]
    if facts.get("seconds") and state != "running":
        lines[1] += f" · {facts['seconds']} s"
    if facts.get("reason"):
        lines.append(f"Reason: {escaped(facts['reason'])}")
    if facts.get("rollback_number"):
        number, url = facts["rollback_number"], facts["rollback_url"]
        lines.append(
            f":leftwards_arrow_with_hook: Rollback to {escaped(facts['rollback_revision'])} follows: <{url}|#{number}>"
        )
    body = "\n".join(lines)
    details = ""
    if state not in ("running", "succeeded"):
        details = "\n".join(escaped(facts[key]) for key in ("result", "hint") if facts.get(key))
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": body[:2900]}}]
    return Message(text=f"{head} (#{facts['number']})", blocks=blocks, details=details[:2900])


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
        blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": body[:2900]}}],
        details="" if facts["state"] == "waiting" else f"It {words}{by}.",
    )


def trouble_text(facts: dict[str, Any]) -> str:
    """The text about workloads that fail between deploys, or about their end. `facts`: as from `deployments.gate.aftermath`;
    with a `number` the workloads fail after that deploy."""
    place = f"{escaped(facts['project'])} in {escaped(facts['environment'])}"
    when = (
        f"<!date^{facts['since']}^{{time}}|{escaped(facts['clock'])}>"  # Slack shows it in the reader's zone
    )
    number = facts.get("number")
    link = f"<{facts['url']}|{f'#{number}' if number else 'Look'}>"
    if facts["about"] == "over":
        names = ", ".join(escaped(name) for name in facts["names"])
        recovered = f"{names} recovered" if number else f"{place} recovered ({names})"
        return f":white_check_mark: *{recovered}* at {when} {link}"[:2900]
    head = f"Deploy {link} succeeded, but since {when} it fails" if number else f"{place} fails since {when}"
    lines = [f":rotating_light: *{head}*" + ("" if number else f" {link}")]
    lines += [f"• {escaped(one['name'])}: {escaped(one['sentence'])}" for one in facts["troubles"]]
    return "\n".join(lines)[:2900]


def operations_text(facts: dict[str, Any]) -> str:
    """The text of a warning to operations, or of its end. `facts`: as from `notify.operations`."""
    link = f" <{facts['link']}|Look>" if facts["link"] else ""
    if facts["about"] == "over":
        return f":white_check_mark: *All well again.*{link}"
    sign = ":rotating_light:" if facts["level"] == "failed" else ":warning:"
    return f"{sign} {escaped(facts['text'])}{link}"[:2900]
