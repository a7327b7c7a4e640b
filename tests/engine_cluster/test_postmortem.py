"""Which containers of which pods an object's evidence is about, and how much of them is kept."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from engine.cluster.client import ApiError
from engine.health.trouble import Trouble
from engine.rollout.evidence import MAX_OTHERS, completed, signal_of
from engine.rollout.postmortem import MAX_PODS, OTHER_LINES, collect, within
from engine.types import ClusterEvent, Evidence, Json
from tests.engine_cluster.objects import pod, waiting

ENDED = {"exitCode": 1, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"}
FINE = {"name": "proxy", "ready": True, "restartCount": 0, "state": {"running": {}}}


class Logs:
    """A client that gives logs and events, and counts the questions."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def text(self, path: str, *, query: dict[str, str]) -> str:
        name = re.findall(r"pods/([^/]+)/log", path)[0]
        which = "previous" if "previous" in query else "current"
        with self._lock:
            self.asked[f"{name} {query['container']} {which}"] += 1
        if query["container"] == "silent":
            raise ApiError("There is no such log.", status=400)
        return "".join(
            f"{name} {query['container']} {which} {line}\n" for line in range(int(query["tailLines"]))
        )

    def request(self, method: str, path: str, *, query: dict[str, str], **options: Any) -> Json:
        uid = query["fieldSelector"].rpartition("=")[2]
        with self._lock:
            self.asked[f"events {uid}"] += 1
        about = {"kind": "Pod", "name": uid.removeprefix("uid-")}
        event = {
            "metadata": {},
            "type": "Warning",
            "reason": "BackOff",
            "message": "again",
            "involvedObject": about,
        }
        return {"items": [event], "metadata": {}}


def broken(name: str, *, restarts: int = 1, code: int = 1, others: tuple[Json, ...] = (FINE,)) -> Json:
    """A pod whose container `web` ended again and again, with others beside it."""
    status = waiting("CrashLoopBackOff", "back-off", restarts=restarts, last={**ENDED, "exitCode": code})
    made = pod(name, phase="Running", containers=[status, *others])
    made["spec"]["containers"] = [{"name": one["name"]} for one in (status, *others)]
    made["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi", "cpu": "1"}}
    made["spec"]["nodeName"] = f"node-of-{name}"
    return made


def crash(name: str, code: int = 1) -> Trouble:
    return Trouble(
        name, f"uid-{name}", "crash", "CrashLoopBackOff", 0, "it crashed", container="web", exit_code=code
    )


def test_each_container_of_each_pod_is_kept_the_worst_first() -> None:
    pods = [broken("a"), broken("b", restarts=7, code=137), broken("c", restarts=3)]
    logs = Logs()
    found = collect(logs, "shop", pods, crash("a"))  # type: ignore[arg-type]
    assert found
    assert (found.pod, found.container, found.exit_code, found.node) == ("a", "web", 1, "node-of-a")
    assert (found.reason, found.limits, found.restarts) == ("CrashLoopBackOff", ("cpu 1", "memory 64Mi"), 1)
    assert [(one.pod, one.container) for one in found.others] == [
        ("a", "proxy"), ("b", "web"), ("b", "proxy"), ("c", "web"), ("c", "proxy"),
    ]  # fmt: skip
    second = found.others[1]
    assert (second.exit_code, second.signal, second.restarts, second.node) == (137, "SIGKILL", 7, "node-of-b")
    assert second.reason == "CrashLoopBackOff"
    assert second.previous_logs[-1] == f"b web previous {OTHER_LINES - 1}"
    assert [str(event) for event in second.events] == ["Warning BackOff: again"]
    assert found.more_pods == 0


def test_what_is_well_is_named_without_a_log() -> None:
    logs = Logs()
    found = collect(logs, "shop", [broken("a")], crash("a"))  # type: ignore[arg-type]
    assert found
    (proxy,) = found.others
    assert (proxy.container, proxy.is_ready, proxy.logs, proxy.events) == ("proxy", True, (), ())
    assert sorted(logs.asked) == ["a web current", "a web previous", "events uid-a"]


def test_pods_and_containers_have_a_bound() -> None:
    names = [f"pod-{number:02}" for number in range(12)]
    many = tuple(replace_name(FINE, f"side-{number}") for number in range(9))
    logs = Logs()
    found = collect(logs, "shop", [broken(name, others=many) for name in names], crash("pod-07"))  # type: ignore[arg-type]
    assert found
    assert found.pod == "pod-07"
    assert len(found.others) == MAX_OTHERS
    assert len({one.pod for one in (found, *found.others)}) <= MAX_PODS
    assert found.more_pods == len(names) - MAX_PODS
    assert max(logs.asked.values()) == 1


def replace_name(status: Json, name: str) -> Json:
    return {**status, "name": name}


def test_a_log_that_cannot_be_read_hides_nothing_else() -> None:
    silent = waiting("CrashLoopBackOff", name="silent", restarts=2, last=ENDED)
    found = collect(Logs(), "shop", [broken("a", others=(silent,))], crash("a"))  # type: ignore[arg-type]
    assert found
    assert found.logs
    assert [(one.container, one.logs, one.exit_code) for one in found.others] == [("silent", (), 1)]


def test_without_a_pod_there_is_none() -> None:
    assert collect(Logs(), "shop", [], None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({"exitCode": 137}, "SIGKILL"),
        ({"exitCode": 139}, "SIGSEGV"),
        ({"exitCode": 143, "signal": 15}, "SIGTERM"),
        ({"exitCode": 1}, ""),
        ({"exitCode": 128}, ""),
        ({"exitCode": 255}, ""),
        ({}, ""),
    ],
)
def test_signals_have_names(ended: Json, expected: str) -> None:
    assert signal_of(ended) == expected


def test_the_oldest_lines_of_the_last_containers_go_first() -> None:
    full = tuple(f"{number:09}" + "\u00e9" for number in range(10))  # 100 characters
    given = Evidence(
        pod="a",
        logs=full,
        previous_logs=full,
        others=(Evidence(pod="b", logs=full), Evidence(pod="c", logs=full)),
    )
    assert within(given, 1000) == given
    cut = within(given, 255)
    assert (cut.logs, cut.previous_logs) == (full, full)
    assert cut.others[0].logs == full[-5:]
    assert cut.others[1].logs == ()


def test_a_second_look_keeps_what_only_the_first_one_saw() -> None:
    event = ClusterEvent("Warning", "BackOff", "again")
    beside = Evidence(pod="b", container="web", exit_code=2, logs=("of b",))
    older = Evidence(pod="a", container="web", logs=("of a",), events=(event,), others=(beside,))
    gone = Evidence(pod="a", container="web", exit_code=1, others=(replace(beside, logs=(), restarts=4),))
    found = completed(gone, older)
    assert found
    assert (found.exit_code, found.logs, found.events) == (1, ("of a",), (event,))
    (kept,) = found.others
    assert (kept.logs, kept.restarts) == (("of b",), 4)


def test_a_second_look_at_another_pod_keeps_the_first_one_beside_it() -> None:
    older = Evidence(pod="a", container="web", logs=("of a",))
    newer = Evidence(pod="b", container="web", logs=("of b",))
    found = completed(newer, older)
    assert found
    assert (found.pod, [one.pod for one in found.others]) == ("b", ["a"])
    silent = completed(Evidence(pod="b", container="web"), older)
    assert silent
    assert (silent.pod, silent.logs) == ("a", ("of a",))
