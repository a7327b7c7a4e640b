"""Reading a log by line and by chunk."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runs.log import chunks_after, lines, lines_after
from runs.models import LogChunk

pytestmark = pytest.mark.django_db


@pytest.fixture
def run_id() -> uuid.UUID:
    """Three chunks: lines 1 to 3, 4 to 5, then a gap, 11 to 12."""
    run_id = uuid.uuid4()
    for sequence, numbers in ((1, (1, 2, 3)), (2, (4, 5)), (4, (11, 12))):
        LogChunk.objects.create(
            run_id=run_id, sequence=sequence, first_line=numbers[0], line_count=len(numbers),
            text="\n".join(f"1700000000.5\tinfo\tapply\tline {number}" for number in numbers),
        )  # fmt: skip
    return run_id


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [1, 2, 3, 4, 5, 11, 12]), (2, [3, 4, 5, 11, 12]), (5, [11, 12]), (7, [11, 12]), (12, []), (99, [])],
)
def test_lines_after_a_number(run_id: uuid.UUID, after: int, expected: list[int]) -> None:
    assert [line.number for line in lines_after(run_id, after)] == expected


def test_a_line_knows_its_time_step_and_level(run_id: uuid.UUID) -> None:
    line = lines_after(run_id, 11)[0]
    assert (line.at.timestamp(), line.level, line.step, line.text) == (
        1700000000.5,
        "info",
        "apply",
        "line 12",
    )


def test_chunks_by_sequence(run_id: uuid.UUID) -> None:
    assert [chunk.sequence for chunk in chunks_after(run_id, 1)] == [2, 4]
    assert [chunk.sequence for chunk in chunks_after(run_id, 0, limit=2)] == [1, 2]
    assert [line.number for line in lines(chunks_after(run_id, 0, limit=1))] == [1, 2, 3]


def test_another_run_has_another_log(run_id: uuid.UUID) -> None:
    assert lines_after(uuid.uuid4(), 0) == []


@pytest.mark.parametrize("read", [chunks_after, lines_after])
def test_reading_on_searches_the_index_and_scans_no_chunk_that_is_known(
    run_id: uuid.UUID, read: Callable[[uuid.UUID, int], object]
) -> None:
    with CaptureQueriesContext(connection) as queries:
        read(run_id, 2)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {queries[-1]['sql']}")
            plan = " ".join(row[3] for row in cursor.fetchall())
        assert "(run_id=? AND sequence>?)" in plan
