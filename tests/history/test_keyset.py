"""Pages by key, and long tables as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from core import csvexport, keyset
from deployments.models import Deploy
from tests.factories import make_deploy, make_environment
from ui.days import day_name


@pytest.fixture
def environment(db):
    return make_environment()


def numbers(page):
    return [deploy.number for deploy in page.rows]


def look(address: str, size: int = 3) -> keyset.Page:
    return keyset.page(Deploy.objects.all(), QueryDict(address.lstrip("?")), key="number", size=size)


def test_going_back_and_forth_meets_every_row_once(environment):
    for _ in range(8):
        make_deploy(environment)
    first = look("state=x")
    assert numbers(first) == [8, 7, 6]
    assert first.newer == ""
    assert first.older == "?state=x&before=6"
    second = look(first.older)
    assert numbers(second) == [5, 4, 3]
    last = look(second.older)
    assert numbers(last) == [2, 1]
    assert last.older == ""
    assert numbers(look(last.newer)) == [5, 4, 3]
    back = look(look(last.newer).newer)
    assert numbers(back) == [8, 7, 6]
    assert back.newer == ""


def test_a_page_stays_where_it_is_when_rows_are_added(environment):
    for _ in range(6):
        make_deploy(environment)
    address = look("").older
    before = numbers(look(address))
    make_deploy(environment)
    assert numbers(look(address)) == before


@pytest.mark.parametrize(
    "address", ["before=abc", "before=-1", "before=", "after=%C2%B2", "before=" + "9" * 40]
)
def test_nonsense_asks_for_the_first_page(environment, address):
    make_deploy(environment)
    assert numbers(look(address)) == [1]


def test_an_empty_page_leads_nowhere(environment):
    page = look("before=5")
    assert (page.rows, page.newer, page.older) == ([], "", "")


def test_dates_are_exact_at_their_edges(environment):
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for minutes in (-1, 0, 1, 1439, 1440):
        deploy = make_deploy(environment)
        Deploy.objects.filter(pk=deploy.pk).update(created_at=midnight + timedelta(minutes=minutes))
    rows = keyset.between(
        Deploy.objects.all(),
        key="number",
        moment="created_at",
        since=midnight,
        until=midnight + timedelta(days=1),
    )
    assert sorted(rows.values_list("number", flat=True)) == [2, 3, 4]


def test_dates_before_and_after_everything(environment):
    make_deploy(environment)
    far = timedelta(days=400)
    rows = Deploy.objects.all()
    for since, until in ((timezone.now() + far, None), (None, timezone.now() - far)):
        assert not keyset.between(rows, key="number", moment="created_at", since=since, until=until).exists()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "\n=1", "＝1"])
def test_formulas_are_disarmed(text):
    assert csvexport.safe_cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "cell"),
    [("plain", "plain"), (None, ""), (-3, "-3"), (1.5, "1.5"), ("a=b", "a=b"), ("x\x00y", "xy")],
)
def test_what_is_no_formula_stays(value, cell):
    assert csvexport.safe_cell(value) == cell


def test_lines_are_csv():
    rows = [("a,b", 'say "hi"'), ("two\nlines", "=1")] * 600
    text = "".join(csvexport.lines(["x", "y"], rows))
    read = list(csv.reader(io.StringIO(text)))
    assert read[0] == ["x", "y"]
    assert read[1:3] == [["a,b", 'say "hi"'], ["two\nlines", "'=1"]]
    assert len(read) == 1201


def test_an_export_reads_everything_in_chunks(environment):
    for _ in range(7):
        make_deploy(environment)
    assert [d.number for d in csvexport.by_key(Deploy.objects.all(), "number", size=3)] == [
        7,
        6,
        5,
        4,
        3,
        2,
        1,
    ]
    assert [d.number for d in csvexport.by_key(Deploy.objects.all(), "number", size=7)] == [
        7,
        6,
        5,
        4,
        3,
        2,
        1,
    ]


@pytest.mark.django_db  # its thread may hold a connection of another test, which is closed first
def test_a_server_that_is_asynchronous_sends_part_by_part():
    begun: list[int] = []

    def parts():
        for n in range(3):
            begun.append(n)
            yield f"{n}\n"

    async def first_part() -> bytes:
        async for part in csvexport.CsvResponse(parts, filename="x.csv"):
            return part
        return b""

    assert asyncio.run(first_part()) == b"0\n"
    assert begun == [0]


def test_names_of_days():
    today = timezone.now().replace(year=2026, month=7, day=14).date()
    assert day_name(today, today) == "Today"
    assert day_name(today - timedelta(days=1), today) == "Yesterday"
    assert day_name(today - timedelta(days=5), today) == "Thursday, 9 July"
    assert day_name(today - timedelta(days=300), today) == "Wednesday, 17 September 2025"
