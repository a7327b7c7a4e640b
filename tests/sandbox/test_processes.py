"""Children and ports of the sandbox."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.processes import Child, ProcessError

ENV = {"PATH": os.defpath}


def _python(tmp_path: Path, program: str, **more: object) -> Child:
    return processes.spawn(
        [sys.executable, "-c", program], log=tmp_path / "log", env=ENV, name="child", **more
    )


def test_a_child_gets_only_the_environment_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from the shell")
    child = _python(tmp_path, "import os; print(sorted(os.environ))")
    child.process.wait()
    assert "AWS_SECRET_ACCESS_KEY" not in child.last_lines()[0]
    assert child.log.stat().st_mode & 0o777 == 0o600


def test_a_child_has_a_session_of_its_own(tmp_path: Path) -> None:
    child = _python(tmp_path, "import os; print(os.getsid(0) == os.getpid())")
    child.process.wait()
    assert child.last_lines() == ["True"]


def test_a_child_lives_on_when_the_thread_that_asked_for_it_ends(tmp_path: Path) -> None:
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(_python(tmp_path, "import time; time.sleep(60)")))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert started[0].alive()
    processes.stop(started)
    assert not started[0].alive()


def test_who_does_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    child = _python(tmp_path, stubborn)
    processes.wait_until(lambda: child.last_lines() == ["on"], [child], seconds=60, what="it")
    processes.stop([child], 0.3)
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_that_ended_is_named(tmp_path: Path) -> None:
    child = _python(tmp_path, "print('the reason'); raise SystemExit(3)")
    child.process.wait()
    with pytest.raises(ProcessError, match=r"child ended with code 3. Its last lines:\nthe reason"):
        processes.check([child])


def test_waiting_ends_when_time_is_over(tmp_path: Path) -> None:
    child = _python(tmp_path, "import time; print('still at it', flush=True); time.sleep(60)")
    processes.wait_until(lambda: bool(child.last_lines()), [child], seconds=60, what="a line")
    with pytest.raises(ProcessError, match="The thing did not become ready within 0 s"):
        processes.wait_until(lambda: False, [child], seconds=0.1, what="The thing")
    processes.stop([child])


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="nothing could not be started: No such file"):
        processes.spawn([tmp_path / "nothing"], log=tmp_path / "log", env=ENV)


def test_ports_are_remembered(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = processes.remembered_ports(file, ["a", "b"])
    assert first["a"] != first["b"]
    assert processes.remembered_ports(file, ["b", "a", "c"]) | first == processes.remembered_ports(
        file, ["a", "b", "c"]
    )


def test_a_port_that_is_taken_changes_and_the_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = processes.remembered_ports(file, ["a", "b"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["a"]))
        other.listen()
        second = processes.remembered_ports(file, ["a", "b"])
    assert second["b"] == first["b"]
    assert second["a"] != first["a"]
    assert json.loads(file.read_text()) == second


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": "x"}'])
def test_a_damaged_note_is_no_trouble(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(text)
    assert processes.port_is_free(processes.remembered_ports(file, ["a"])["a"])


def test_the_end_of_a_log(tmp_path: Path) -> None:
    assert processes.tail(tmp_path / "none", 3) == []
    (tmp_path / "log").write_text("\n".join(str(n) for n in range(100_000)))
    assert processes.tail(tmp_path / "log", 2) == ["99998", "99999"]
