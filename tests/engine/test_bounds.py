"""Content of a repository is bounded by what it expands to, before it is expanded: aliases, merge keys, variables.

Each input runs in a process of its own, which tells its seconds and the memory that it took at most.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import ManifestError
from engine.manifests.documents import read_documents
from engine.manifests.variables import MAX_FILLED, Filler, Variable
from engine.manifests.yamlread import MAX_CHARACTERS, MAX_NODES

ROOT = Path(__file__).resolve().parent.parent.parent
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
SECONDS, MEGABYTES = 15.0, 200  # about 5 s on a machine that does nothing else

# Reads and renders what the named function of this module makes; prints seconds, megabytes and what was said.
CHILD = """
import json, resource, sys, time
from tests.engine import test_bounds as bounds
from engine.errors import ManifestError
from engine.manifests.documents import read_documents
from engine.manifests.render import render
files, variables = getattr(bounds, sys.argv[1])()
class Kinds:
    def namespaced(self, group, version, kind):
        return True
before, started, said = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic(), ""
try:
    made = render(read_documents(files), variables=variables, images=(), namespace="n", environment_label="a.b",
                  secret_documents={}, kinds=Kinds())
    json.dumps([one.body for one in made.manifests])
except ManifestError as error:
    said = error.message
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([time.monotonic() - started, (after - before) / 1024, said]))
"""
Made = tuple[dict[str, bytes], list[Variable]]


def aliases_of_a_long_text() -> Made:
    """1500 aliases of 300 kB: 450 MB from a file of 317 kB."""
    aliases = "".join(f"  k{number}: *a\n" for number in range(1500))
    return {"a.yaml": f"{HEAD}data:\n  first: &a {'x' * 300_000}\n{aliases}".encode()}, []


def aliases_of_aliases() -> Made:
    """Nine of nine of nine."""
    rows = ["  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return {"a.yaml": f"{HEAD}data:\n{chr(10).join(rows)}\n".encode()}, []


def merge_keys() -> Made:
    """A mapping with 100 kB in 50 keys, merged 2000 times."""
    base = "".join(f"    b{number}: {'y' * 2000}\n" for number in range(50))
    rows = "".join(f"  m{number}: {{<<: *b}}\n" for number in range(2000))
    return {"a.yaml": f"{HEAD}spec:\n  base: &b\n{base}{rows}".encode()}, []


def a_variable_many_times() -> Made:
    """4000 characters, 500,000 times."""
    row = "${A}" * 100_000
    files = {f"{n}.yaml": f'{HEAD.replace("a}", f"a{n}}}")}data: {{v: "{row}"}}\n'.encode() for n in range(5)}
    return files, [Variable("A", "z" * 4000)]


def many_values() -> Made:
    """As many values as ten megabytes hold."""
    row = "[" + "1," * 990_000 + "1]"
    return {f"{n}.yaml": f"{HEAD.replace('a}', f'a{n}}}')}x: {row}\n".encode() for n in range(5)}, []


def many_values_in_json() -> Made:
    row = "[" + "1," * 900_000 + "1]"
    text = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a%d"}, "x": %s}'
    return {f"{n}.json": (text % (n, row)).encode() for n in range(5)}, []


def many_unknown_variables() -> Made:
    """100,000 names that are no variables, each in a text of its own."""
    rows = "".join(f'  k{number}: "${{N{number}}}"\n' for number in range(90_000))
    return {"a.yaml": f"{HEAD}data:\n{rows}".encode()}, [Variable(f"V{number}", "x") for number in range(200)]


REFUSED = {
    "aliases_of_a_long_text": "MB of values",
    "aliases_of_aliases": "aliases expand to more than",
    "merge_keys": "MB of values",
    "a_variable_many_times": "the variables of this environment add more than 12 MB",
    "many_values": f"more than {MAX_NODES} values",
    "many_values_in_json": f"more than {MAX_NODES} values",
    "many_unknown_variables": "is not a variable of this environment",
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_worst_input_ends_soon_with_a_clear_error(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seconds, megabytes, said = json.loads(done.stdout)
    assert REFUSED[name] in said
    assert seconds < SECONDS
    assert megabytes < MEGABYTES


def test_what_many_files_hold_together_counts() -> None:
    most = MAX_CHARACTERS // 1_900_000
    data = f"data: {{v: &a {'x' * 1_000_000}, w: *a}}\n"
    files = {f"{n}.yaml": (HEAD.replace("a}", f"a{n}}}") + data).encode() for n in range(most)}
    with pytest.raises(ManifestError, match="MB of values, counted over all files") as caught:
        read_documents(files)
    assert caught.value.problems[0].startswith(f"{most - 1}.yaml:4: ")


def test_ordinary_aliases_and_long_values_are_read() -> None:
    text = f"{HEAD}data:\n  first: &a {'x' * 900_000}\n  second: *a\n"
    (document,) = read_documents({"a.yaml": text.encode()})
    assert len(document.body["data"]["second"]) == 900_000


def test_variables_that_fit_are_filled() -> None:
    filler = Filler([Variable("A", "z" * 4000)])
    uses = MAX_FILLED // 4000
    assert len(filler.fill("${A}" * uses)) == MAX_FILLED
    with pytest.raises(ManifestError, match="the variables of this environment"):
        filler.fill("${A}")
