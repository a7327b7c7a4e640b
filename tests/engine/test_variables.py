"""Variables go into parsed string scalars only, and images into containers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ManifestError, SlipwayError
from engine.manifests.images import ImagePin, ImageReference, is_moving, normal_repository, parse_reference
from engine.manifests.variables import Filler, Variable, built_in_variables
from tests.engine.support import REVISION, WEB, read, rendered

NUMBER = Variable("REPLICAS", "3", "number")
FLAG = Variable("DEBUG", "true", "boolean")
NAME = Variable("NAME", "web")


def fill(tree: Any, *variables: Variable) -> Any:
    return Filler(variables or (NUMBER, FLAG, NAME)).fill(tree)


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("${NAME}", "web"),
        ("a-${NAME}-${NAME}", "a-web-web"),
        ("${REPLICAS}", 3),
        ("${DEBUG}", True),
        ("x${REPLICAS}", "x3"),
        ("${REPLICAS}${REPLICAS}", "33"),
        (" ${REPLICAS}", " 3"),
        ("$${NAME}", "${NAME}"),
        ("$${anything at all", "${anything at all"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME $(NAME) {NAME} $ $$", "$NAME $(NAME) {NAME} $ $$"),
        ("${NAME}\n${DEBUG}", "web\ntrue"),
    ],
)
def test_filling_one_scalar(written: str, filled: Any) -> None:
    found = fill(written)
    assert found == filled
    assert type(found) is type(filled)


def test_keys_are_filled_and_other_types_left_alone() -> None:
    tree = {"${NAME}": [1, None, True, "${NAME}"], "${REPLICAS}": {"x": 1.5}}
    assert fill(tree) == {"web": [1, None, True, "web"], "3": {"x": 1.5}}


def test_values_are_not_filled_again() -> None:
    assert fill("${A}", Variable("A", "${B}"), Variable("B", "no")) == "${B}"


def test_unknown_and_malformed_references_are_noted() -> None:
    filler = Filler([NAME])
    filler.fill({"a": "${NAME} ${NAMES}", "b": "${NAME:-x}", "${": 1})
    assert filler.unknown == [("${NAME} ${NAMES}", "NAMES"), ("${NAME:-x}", ""), ("${", "")]


@given(st.text(), st.text())
def test_a_value_arrives_unchanged_whatever_it_holds(value: str, before: str) -> None:
    before = before.replace("$", "")
    assert fill(f"{before}${{V}}", Variable("V", value)) == before + value


@given(st.recursive(st.text().filter(lambda t: "${" not in t) | st.integers() | st.none(), st.lists))
def test_what_names_no_variable_stays_as_it_is(tree: Any) -> None:
    assert fill(tree) == tree


@given(st.text())
def test_escaping_gives_any_text_back(text: str) -> None:
    safe = text.replace("$", "")  # a dollar before the escape would join it
    assert fill(f"{safe}$${{{safe}") == f"{safe}${{{safe}"


@given(st.text(alphabet="a:{}[]\"'#&*!|>-\n\t ,?%@`${", min_size=1))
def test_a_hostile_value_adds_nothing_to_a_manifest(value: str) -> None:
    text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: "${V}"}\n'
    (manifest,) = rendered(read(text), Variable("V", value)).manifests
    assert manifest.body["data"] == {"k": value}


@pytest.mark.parametrize(
    ("text", "kind"),
    [("1", "number"), ("-1.5", "number"), ("1e3", "number"), ("true", "boolean"), ("", "string")],
)
def test_values_that_fit_their_type(text: str, kind: Any) -> None:
    assert str(Variable("A", text, kind).typed).lower() in (text, "1000.0")


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("A", "", "number"),
        ("A", "0644", "number"),
        ("A", "1e999", "number"),
        ("A", "nan", "number"),
        ("A", "3 ", "number"),
        ("A", "yes", "boolean"),
        ("A-B", "x", "string"),
        ("", "x", "string"),
        ("1A", "x", "string"),
        ("A\n", "x", "string"),
    ],
)
def test_values_that_do_not_fit_are_refused_without_being_shown(name: str, text: str, kind: Any) -> None:
    with pytest.raises(SlipwayError) as caught:
        Variable(name, text, kind)
    assert "1e999" not in caught.value.message


def test_built_in_variables() -> None:
    image = ImagePin("api-v2", "registry.example.com/shop/api", "63ec5c0", "sha256:12")
    found = built_in_variables(
        project="shop",
        environment="staging",
        namespace="shop-staging",
        revision=REVISION,
        image_tag="63ec5c0",
        images=[image],
    )
    assert {v.name: v.value for v in found} == {
        "REVISION": REVISION,
        "REVISION_SHORT": "63ec5c0",
        "IMAGE_TAG": "63ec5c0",
        "ENVIRONMENT": "staging",
        "PROJECT": "shop",
        "NAMESPACE": "shop-staging",
        "IMAGE_API_V2": "registry.example.com/shop/api:63ec5c0@sha256:12",
    }
    assert {v.type for v in found} == {"string"}


UNKNOWN = """apiVersion: v1
kind: ConfigMap
metadata:
  name: a
data:
  x: >-
    ${REVISON}
  y: ${ENVIRONMENT}
  z: ${VAR:-default}
"""


def test_an_unknown_variable_names_file_line_and_what_there_is() -> None:
    with pytest.raises(ManifestError) as caught:
        rendered(read(UNKNOWN))
    first, second = caught.value.problems
    assert first.startswith(
        "web.yaml:6: ${REVISON} is not a variable of this environment; did you mean ${REVISION}?"
    )
    assert (
        "known are ENVIRONMENT, IMAGE_TAG, IMAGE_WEB, NAMESPACE, PROJECT, REVISION, REVISION_SHORT" in first
    )
    assert second.startswith("web.yaml:9: ${ begins a variable but no name and } follow")


def test_the_line_is_that_of_the_object_with_the_mistake() -> None:
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {x: '${OOPS}'}\n"
    with pytest.raises(ManifestError) as caught:
        rendered(read("---\n".join(one.replace("NAME", name) for name in "abc")))
    assert [p.split(": ")[0] for p in caught.value.problems] == ["web.yaml:4", "web.yaml:9", "web.yaml:14"]


def test_keys_that_become_equal_are_an_error() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  ${PROJECT}: a\n  shop: b\n"
    with pytest.raises(
        ManifestError, match=r"^web\.yaml:5: a key stands twice once its variable is filled in"
    ):
        rendered(read(text))


def test_a_name_that_is_emptied_by_its_variable_is_an_error() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ${EMPTY}\n"
    with pytest.raises(ManifestError, match=r"^web\.yaml:1: ConfigMap has no metadata\.name"):
        rendered(read(text), Variable("EMPTY", ""))


def test_a_typed_variable_where_only_text_may_stand() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {n: '${REPLICAS}'}}\n"
    with pytest.raises(
        ManifestError, match=r"found a number; write it in quotes, or make its variable a string"
    ):
        rendered(read(text), NUMBER)


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx", ("nginx", "", "")),
        ("nginx:1.27", ("nginx", "1.27", "")),
        ("r.example:5000/web", ("r.example:5000/web", "", "")),
        ("localhost:5000/a/b", ("localhost:5000/a/b", "", "")),
        ("localhost:5000/a/b:c@sha256:12", ("localhost:5000/a/b", "c", "sha256:12")),
        ("r.io/a@sha256:12", ("r.io/a", "", "sha256:12")),
    ],
)
def test_splitting_references(reference: str, parts: tuple[str, str, str]) -> None:
    assert parse_reference(reference) == ImageReference(*parts)


@pytest.mark.parametrize(
    ("written", "whole"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/shop/web", "docker.io/shop/web"),
        ("shop/web", "docker.io/shop/web"),
        ("Registry.Example.com/shop/web", "registry.example.com/shop/web"),
        ("localhost/web", "localhost/web"),
        ("127.0.0.1:5000/web", "127.0.0.1:5000/web"),
    ],
)
def test_repositories_have_one_normal_form(written: str, whole: str) -> None:
    assert normal_repository(written) == whole


def test_moving_tags() -> None:
    assert [is_moving(i) for i in ("a", "a:latest", "a:main", "a:1.2", "a:latest@sha256:1", "h:5/a")] == [
        True, True, True, False, False, True,
    ]  # fmt: skip


POD = "{containers: [{name: web, image: IMAGE}], initContainers: [{name: i, image: IMAGE}]}"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: " + POD,
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: " + POD + "}}",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {jobTemplate: {spec: {template: {spec: "
        + POD
        + "}}}}",
        "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: a}\ntemplate: {spec: " + POD + "}",
    ],
)
@pytest.mark.parametrize(
    ("written", "applied"),
    [
        (WEB.repository, WEB.reference),
        (f"{WEB.repository}:old", WEB.reference),
        (f"{WEB.repository}:old@sha256:1", WEB.reference),
        (f'"{WEB.repository}:${{IMAGE_TAG}}"', WEB.reference),
        ('"${IMAGE_WEB}"', WEB.reference),
        (f"{WEB.repository}2:old", f"{WEB.repository}2:old"),
        ("other.example.com/shop/web:1", "other.example.com/shop/web:1"),
    ],
)
def test_images_of_the_project_get_the_tag_and_digest_of_the_release(
    text: str, written: str, applied: str
) -> None:
    documents = read(text.replace("IMAGE}", written + "}"))
    result = rendered(documents)
    assert result.images == (applied,)
    assert result.manifests[0].body != documents[0].body


def test_a_moving_tag_of_another_repository_is_a_warning() -> None:
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: " + POD.replace("IMAGE", "busybox")
    assert rendered(read(text)).warnings == ("Image busybox may change without notice: its tag moves",)
