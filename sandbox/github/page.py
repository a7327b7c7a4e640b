"""The page of the sandbox's GitHub: statuses, deployments, and deliveries of webhooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import UTC, datetime

from sandbox.github.refusals import Json

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>Sandbox GitHub</title><style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }}
body {{ max-width: 62rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid #8884 }}
td {{ overflow-wrap: anywhere }} code {{ font-size: .9em }} form {{ margin: 0 }}
</style></head><body><h1>Sandbox GitHub</h1>
<h2>Commit statuses</h2>{statuses}<h2>Deployments</h2>{deployments}<h2>Deliveries of webhooks</h2>{deliveries}
</body></html>
"""
_SHOWN = 100


def render(lists: Json) -> str:
    """The whole page. Everything in it is escaped."""
    return _PAGE.format(
        statuses=_table(
            ("When", "Commit", "Context", "State", "Description"),
            [_status(one) for one in lists["statuses"][:_SHOWN]],
        ),
        deployments=_table(
            ("When", "Commit", "Environment", "State", "Description"),
            [_deployment(one, lists["deployment_statuses"]) for one in lists["deployments"][:_SHOWN]],
        ),
        deliveries=_table(
            ("When", "Event", "Ref", "Answer", ""), [_delivery(one) for one in lists["deliveries"][:_SHOWN]]
        ),
    )


def _table(heads: tuple[str, ...], rows: list[list[str]]) -> str:
    if not rows:
        return "<p>None yet.</p>"
    body = "".join(_row("td", cells) for cells in rows)
    return f"<table><thead>{_row('th', heads)}</thead><tbody>{body}</tbody></table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _status(one: Json) -> list[str]:
    commit = f"{_text(one['repository'])} <code>{_text(one['sha'][:7])}</code>"
    return [
        _text(one["created_at"]),
        commit,
        _text(one["context"]),
        _text(one["state"]),
        _linked(one["description"], one["target_url"]),
    ]


def _deployment(one: Json, statuses: list[Json]) -> list[str]:
    newest = next((status for status in statuses if status["deployment"] == one["id"]), {})
    said = _linked(newest.get("description") or one["description"], newest.get("log_url"))
    commit = f"{_text(one['repository'])} <code>{_text(one['sha'][:7])}</code>"
    return [
        _text(one["created_at"]),
        commit,
        _text(one["environment"]),
        _text(newest.get("state") or "pending"),
        said,
    ]


def _delivery(one: Json) -> list[str]:
    last = one["attempts"][-1] if one["attempts"] else None
    when = datetime.fromtimestamp(last["at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if last else ""
    answer = "waiting"
    if last:
        answer = f"{last['status'] or 'no answer'} in {last['seconds']} s: {last['answer'][:200]}"
    again = f'<form method="post" action="/deliveries/{_text(one["guid"])}/attempts"><button>Redeliver</button></form>'
    commit = str(one["payload"].get("after", ""))[:7]
    ref = f"{_text(one['payload'].get('ref', ''))} <code>{_text(commit)}</code>"
    return [_text(when), _text(one["event"]), ref, _text(answer), again]


def _linked(text: str | None, url: str | None) -> str:
    shown = _text(text or url or "")
    return f'<a href="{_text(url)}">{shown}</a>' if url else shown


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
