"""What is read from a repository before its project has an environment: folders, variables, secrets files, images."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from adapters.git.repository import GitRepository
from projects.reading import scan as scanning
from projects.reading.directories import folders, is_production, place_of, slug_of
from projects.reading.manifests import BlankFile, FoundVariable, read

SAMPLES = Path(__file__).parents[2] / "sandbox" / "samples" / "files"


def sample(folder: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (SAMPLES / folder).iterdir()}


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        (["kubernetes/staging/a.yaml", "kubernetes/production/a.yaml", "docker-compose.yml", "src/x.yaml"],
         ("kubernetes/production", "kubernetes/staging")),
        (["deploy/overlays/prod-eu/a.yaml", "deploy/base/a.yaml"], ("deploy/overlays/prod-eu", "deploy/base")),
        (["staging/k8s/a.yml"], ("staging/k8s",)),
        (["things/a.yaml"], ("things",)),
        ([".github/workflows/ci.yaml", "node_modules/x/k8s/a.yaml", "a.yaml"], ()),
        (["charts/shop/Chart.yaml", "charts/shop/templates/staging/web.yaml"], ()),
    ],
)  # fmt: skip
def test_folders_that_may_be_config_directories(paths: list[str], chosen: tuple[str, ...]) -> None:
    assert folders(paths).chosen == chosen


def test_folders_that_are_left_out_are_told() -> None:
    found = folders([*(f"kubernetes/s{n:02}/a.yaml" for n in range(40)), "x/Chart.yaml", "a.yaml"])
    assert (len(found.chosen), found.skipped, found.charts, found.at_root) == (12, 28, ("x",), True)


@pytest.mark.parametrize(
    ("folder", "slug", "production"),
    [
        ("kubernetes/staging", "staging", False),
        ("overlays/prod", "prod", True),
        ("staging/k8s", "staging", False),
        ("kubernetes", "production", True),
        ("k8s/production-eu", "production-eu", True),
        ("k8s/preprod", "preprod", False),
        ("k8s/Pre_Production_for_customers", "pre-production-for-c", False),
        ("k8s/1", "environment", False),
    ],
)
def test_names_of_environments(folder: str, slug: str, production: bool) -> None:
    assert (slug_of(folder, set()), is_production(folder)) == (slug, production)


def test_a_name_that_is_taken_gets_a_number_and_the_order_is_the_usual_one() -> None:
    assert slug_of("a/staging", {"staging"}) == "staging-2"
    mixed = ["k8s/production", "k8s/qa", "k8s/dev", "k8s/staging"]
    assert sorted(mixed, key=place_of) == ["k8s/dev", "k8s/qa", "k8s/staging", "k8s/production"]


def test_a_sample_of_the_sandbox() -> None:
    found = read(sample("storefront/kubernetes/staging"))
    assert found.problems == ()
    assert [one.name for one in found.variables] == ["LOG_LEVEL", "PUBLIC_HOST", "WEB_REPLICAS"]
    kinds = {one.name: one.kind for one in found.variables}
    assert kinds == {"LOG_LEVEL": "string", "PUBLIC_HOST": "string", "WEB_REPLICAS": "number"}
    [blank] = found.blank_files
    assert blank.path == "secrets.yaml"
    assert len(blank.secrets) == 2


WEB = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop-qa}
spec:
  replicas: ${REPLICAS}
  template:
    metadata: {labels: {app: web}}
    spec:
      imagePullSecrets: [{name: regcred}]
      containers:
      - name: web
        image: "${IMAGE_WEB}"
        args: ["--url=https://${HOST}/${HOST}", "$${HOME}", "${REVISION}"]
        env: [{name: DEBUG, value: "${DEBUG}"}]
      - name: side
        image: registry.example/shop/side:1
"""


def test_what_a_folder_uses() -> None:
    found = read({"web.yaml": WEB})
    assert found.objects == 1
    assert found.problems == ()
    assert found.variables == (
        FoundVariable("DEBUG", "string", ("web.yaml:14",)),
        FoundVariable("HOST", "string", ("web.yaml:13",)),
        FoundVariable("REPLICAS", "number", ("web.yaml:5",)),
    )
    assert (found.images, found.own_images) == (("registry.example/shop/side:1",), ("WEB",))
    assert (found.namespaces, found.pull_secrets) == (("shop-qa",), ("regcred",))


def test_many_places_of_a_variable_are_counted() -> None:
    files = {
        f"{n}.yaml": f"kind: ConfigMap\napiVersion: v1\nmetadata: {{name: c{n}}}\ndata: {{a: '${{X}}'}}".encode()
        for n in range(9)
    }
    [found] = read(files).variables
    assert (len(found.uses), found.more) == (4, 5)


def test_what_was_not_understood_is_told_and_the_rest_is_read() -> None:
    script = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {run: 'echo ${home} ${} ${A}'}\n"
    found = read(
        {"broken.yaml": b"a: [", "c.yaml": script, "kustomization.yaml": b"resources: []", "README.md": b"x"}
    )
    assert [one.name for one in found.variables] == ["A"]
    assert [text for text in found.problems if text.startswith("broken.yaml:")]
    assert (
        "kustomization.yaml: kustomizations are not supported yet; plain manifests are read" in found.problems
    )
    assert "c.yaml:4: ${home} cannot be a variable; where it is meant as text, write $${" in found.problems
    assert len(found.problems) == 4


def test_files_that_are_no_manifests_make_no_environment() -> None:
    assert read({"values.yaml": b"replicas: 2\n", "ci.yml": b"jobs: {}\n"}).objects == 0
    assert read({"values.yaml": b"replicas: 2\n"}).problems == ()


SECRET = b"apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\ndata: %s\n"


def test_blank_secrets_become_secrets_files_and_no_value_is_told() -> None:
    found = read(
        {
            "blank.yaml": SECRET % (b"a", b"{A: '', B: changeme}") + b"---\n" + SECRET % (b"b", b"{C: null}"),
            "full.yaml": SECRET % (b"c", b"{A: Y2FuYXJ5LXZhbHVl}"),
            "odd.yaml": SECRET % (b"d", b"{A: 1234}"),
            "mixed.yaml": SECRET % (b"e", b"{A: ''}") + b"---\n" + WEB,
        }
    )
    assert found.blank_files == (BlankFile("blank.yaml", ("a", "b"), 3),)
    assert [text.split(":")[0] for text in found.problems] == ["full.yaml", "mixed.yaml", "odd.yaml"]
    assert "has values in Git" in found.problems[0]
    assert "beside other objects" in found.problems[1]
    assert "Y2FuYXJ5" not in repr(found)
    assert "canary" not in repr(found)


def test_what_lies_in_a_chart_and_what_only_looks_so() -> None:
    paths = [
        "k8s/a/Chart.yaml",
        "k8s/a/prod/x.yaml",
        "k8s/a-b/x.yaml",
        "k8s/a.b/x.yaml",
        "k8s/ab/x.yaml",
        "k8s/b/x.yaml",
    ]
    assert folders(paths).chosen == ("k8s/a-b", "k8s/a.b", "k8s/ab", "k8s/b")
    assert folders([*paths, "Chart.yaml"]).chosen == ()


def processor_seconds(work: Callable[[], object]) -> float:
    """What it takes of the processor, so that a busy machine does not count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def test_charts_without_number_take_no_minutes() -> None:
    charts = [f"k8s/c{number}/Chart.yaml" for number in range(60_000)]  # each with each: about 150 s
    assert processor_seconds(lambda: folders(charts)) < 30


def test_a_variable_that_is_used_without_number_takes_no_minutes() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n"
    used = head + "".join(
        f"  k{number}: '${{V}}'\n" for number in range(60_000)
    )  # each with each: about 120 s
    assert processor_seconds(lambda: read({"a.yaml": used.encode()})) < 30


def test_blank_secrets_beside_another_object_are_told_one_by_one() -> None:
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s%d}\nstringData: {a: ''}\n---\n"
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    found = read({"a.yaml": ("".join(secret % number for number in range(3)) + other).encode()})
    assert [text.partition(": ")[0] for text in found.problems] == ["a.yaml:1", "a.yaml:6", "a.yaml:11"]


def test_of_a_repository_with_files_without_number_the_first_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Repository:
        def paths(self, sha: str) -> list[str]:
            return ["k8s/a/x.yaml", "k8s/b/x.yaml", "k8s/c/x.yaml", "Dockerfile"]

        def files(self, sha: str, path: str, **options: object) -> dict[str, bytes]:
            return {"x.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"}

    monkeypatch.setattr(scanning, "MOST_PATHS", 2)
    found = scanning._read(cast(GitRepository, Repository()), "a" * 40)
    assert ([one.path for one in found.folders], found.dockerfiles) == (["k8s/a", "k8s/b"], ())
    assert found.notes == ("The repository has 4 files; only the folders of the first 2 were looked at.",)
