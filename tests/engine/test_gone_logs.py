"""What a kubelet says in place of a log is no log."""

from __future__ import annotations

from typing import Any

import pytest

from engine.rollout.evidence import log_of

GONE = (
    "unable to retrieve container logs for containerd://0f3",
    'failed to try resolving symlinks in path "/var/log/pods/shop_web-1/app/0.log": lstat …: no such file or directory',
)  # as a kubelet 1.37 answers when it has removed the container, or its log file


class Kubelet:
    """Answers every question for a log with one text."""

    def __init__(self, said: str) -> None:
        self.said = said

    def text(self, path: str, **_: Any) -> str:
        return self.said


@pytest.mark.parametrize("said", GONE)
def test_the_answer_for_a_log_that_is_gone_is_no_line_of_it(said: str) -> None:
    assert log_of(Kubelet(said), "shop", "web-1", "app", previous=True) == ()  # type: ignore[arg-type]


def test_a_program_that_says_so_later_in_its_log_is_quoted() -> None:
    said = f"started\n{GONE[1]}"
    assert log_of(Kubelet(said), "shop", "web-1", "app", previous=False) == ("started", GONE[1])  # type: ignore[arg-type]
