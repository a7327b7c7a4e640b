"""What is allotted to a project, who may change it, and that nothing else is accepted."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from audit.actors import SYSTEM_ACTOR, person
from audit.models import AuditEvent
from core.errors import Refused
from projects import services
from projects.allotting import services as allotting
from projects.allotting.matching import closeness, matches
from projects.allotting.rules import Reach, not_allotted, reach_of
from projects.allotting.wishes import Wish, of_environment, of_git, of_place, of_secret
from projects.models import Allotment, Environment, Project
from tests import factories as make
from tests.projects.conftest import World

Kind = Allotment.Kind
NAME = st.text("abc-/*", min_size=1, max_size=8)


@given(NAME, st.text("abc-/", max_size=10))
def test_a_pattern_fits_what_its_parts_cover_in_order(pattern: str, value: str) -> None:
    parts = pattern.split("*")
    if len(parts) == 1:
        assert matches(pattern, value) == (pattern == value)
        return
    rest, fits = value, value.startswith(parts[0]) and value.endswith(parts[-1])
    fits = fits and len(value) >= len(parts[0]) + len(parts[-1])
    rest = value[len(parts[0]) : len(value) - len(parts[-1])] if fits else ""
    for part in parts[1:-1]:
        at = rest.find(part)
        fits, rest = fits and at >= 0, rest[at + len(part) :]
    assert matches(pattern, value) == fits


def test_the_arn_of_a_secret_needs_an_arn() -> None:
    arn = "arn:aws:secretsmanager:eu-west-2:210987654321:secret:shop/staging-AbCdEf"
    assert not matches("*shop/*", arn)
    assert matches("arn:aws:secretsmanager:eu-west-2:210987654321:secret:shop/*", arn)


def test_the_closest_pattern_counts() -> None:
    far, near, nearer, exact = "*/shop/*", "shop-*", "shop-admin-*", "shop-admin-staging"
    assert closeness(far) < closeness(near) < closeness(nearer) < closeness(exact)


@pytest.fixture
def two(db: None) -> tuple[Project, Project, Any]:
    """Shop and Shop admin, whose names overlap, on one cluster."""
    cluster = make.make_cluster(slug="lon1", name="London")
    shop, admin = make.make_project(slug="shop", name="Shop"), make.make_project(slug="shop-admin")
    for project in (shop, admin):
        pattern = f"{project.slug}-*"
        allotting.allot(SYSTEM_ACTOR, project=project, kind=Kind.NAMESPACE, pattern=pattern, cluster=cluster)
    return shop, admin, cluster


def test_of_overlapping_patterns_the_closer_one_owns_the_namespace(two: Any) -> None:
    shop, admin, cluster = two
    assert not not_allotted(shop, of_place(cluster, "shop-staging"))
    assert not_allotted(shop, of_place(cluster, "shop-admin-staging"))
    assert not not_allotted(admin, of_place(cluster, "shop-admin-staging"))
    assert not_allotted(shop, of_place(make.make_cluster(), "shop-staging"))  # another cluster


def test_two_projects_share_what_is_allotted_to_both(two: Any) -> None:
    shop, admin, _ = two
    for project in (shop, admin):
        allotting.allot(SYSTEM_ACTOR, project=project, kind=Kind.SECRET, pattern="common/mail")
    assert not not_allotted(shop, of_secret("common/mail", ""))
    assert not not_allotted(admin, of_secret("common/mail", ""))
    assert [wish.field for wish in not_allotted(shop, of_secret("common/x", "arn:aws:iam::1:role/r"))] == [
        "secret_id",
        "role_arn",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example/team/secret.git/", "https://git.example/team/secret", "https://git.example/Team/Secret.git",
        "https://git.example/team/%73ecret.git",
    ],
)  # fmt: skip
def test_another_spelling_of_an_address_is_not_another_repository(two: Any, url: str) -> None:
    shop, admin, _ = two
    allotting.allot(SYSTEM_ACTOR, project=shop, kind=Kind.GIT, pattern="https://git.example/team/*")
    assert not not_allotted(shop, of_git(url))
    allotting.allot(SYSTEM_ACTOR, project=admin, kind=Kind.GIT, pattern="https://git.example/team/secret.git")
    assert not_allotted(shop, of_git(url))
    assert not not_allotted(admin, of_git(url))
    assert not not_allotted(shop, of_git("https://git.example/team/shop.git"))


@pytest.mark.parametrize(
    ("kind", "allotted", "asked"),
    [
        (Kind.SECRET, "team/*", "team2/db"), (Kind.SECRET, "team/*", "Team/db"), (Kind.SECRET, "team/*", "team"),
        (Kind.SECRET, "team/*", " team/db"), (Kind.SECRET, "team/db", "team/db2"), (Kind.SECRET, "team/?b", "team/db"),
        (Kind.SECRET, "team/.*", "team/db"), (Kind.SECRET, "team/[a-z]*", "team/db"),
        (Kind.SECRET, "*team/*", "arn:aws:secretsmanager:eu-west-2:1:secret:team/db-AbCdEf"),
        (Kind.ROLE, "arn:aws:iam::1:role/team-*", "arn:aws:iam::12:role/team-a"),
        (Kind.ROLE, "arn:aws:iam::1:role/team", "arn:aws:iam::1:role/team-a"),
        (Kind.GIT, "https://git.example/team/*", "https://git.example.evil/team/x"),
        (Kind.GIT, "https://git.example/team/*", "https://git.example:8443/team/x"),
        (Kind.GIT, "https://git.example/team/*", "http://git.example/team/x"),
        (Kind.GIT, "https://git.example/team/*", "https://git.example/team2/x"),
    ],
)  # fmt: skip
def test_names_that_only_look_alike_are_not_allotted(two: Any, kind: str, allotted: str, asked: str) -> None:
    shop, _, _ = two
    allotting.allot(SYSTEM_ACTOR, project=shop, kind=kind, pattern=allotted)
    assert not_allotted(shop, [Wish(kind, asked, asked, "field")])


@pytest.mark.parametrize(
    ("kind", "pattern", "field"),
    [
        (Kind.SECRET, "*", "pattern"), (Kind.SECRET, "**/*", "pattern"), (Kind.SECRET, "a b", "pattern"),
        (Kind.SECRET, "", "pattern"), (Kind.SECRET, "a\x00", "pattern"), (Kind.NAMESPACE, "shop-*", "cluster"),
        (Kind.REPOSITORY, "shop/*", "registry"), (Kind.OBJECTS_IN, "kube-system", "environment"),
    ],
)  # fmt: skip
def test_what_would_allot_everything_or_lacks_its_place_is_refused(
    world: World, kind: str, pattern: str, field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        allotting.allot(person(world.admin), project=world.project, kind=kind, pattern=pattern)
    assert field in caught.value.message_dict


def test_only_admins_allot_and_withdraw_and_both_are_audited(world: World) -> None:
    values = {"project": world.project, "kind": Kind.SECRET, "pattern": "billing/*"}
    with pytest.raises(Refused):
        allotting.allot(person(world.maintainer), **values)
    row = allotting.allot(person(world.admin), **values)
    assert allotting.allot(person(world.admin), **values) == row  # again: the same
    with pytest.raises(Refused):
        allotting.withdraw(person(world.maintainer), allotment=row)
    allotting.withdraw(person(world.admin), allotment=row)
    verbs = AuditEvent.objects.order_by("id").values_list("verb", "target_text")
    assert list(verbs) == [
        ("allotment.made", "Shop: AWS secret billing/*"), ("allotment.withdrawn", "Shop: AWS secret billing/*")
    ]  # fmt: skip


def test_what_a_setting_still_needs_is_not_withdrawn(world: World) -> None:
    Allotment.objects.filter(pattern__endswith="*").delete()
    row = Allotment.objects.get(kind=Kind.SECRET)
    with pytest.raises(Refused, match=r"still used by the secrets file secret\.yaml of Staging"):
        allotting.withdraw(person(world.admin), allotment=row)
    services.remove_secrets_file(person(world.maintainer), secrets_file=world.secrets_file)
    allotting.withdraw(person(world.admin), allotment=row)


class TestSettings:
    @pytest.fixture(autouse=True)
    def strict(self, world: World) -> None:
        """Only what is in use is allotted."""
        Allotment.objects.filter(pattern__endswith="*").delete()

    def test_a_maintainer_names_no_secret_of_another_project(self, world: World) -> None:
        values = {"environment": world.environment, "path": "b.yaml", "secret_id": "billing/production"}
        with pytest.raises(ValidationError) as caught:
            services.create_secrets_file(person(world.maintainer), **values)
        assert caught.value.message_dict == {
            "secret_id": [
                "The AWS secret billing/production is not allotted to Shop. Ask an admin (ada) to allot it."
            ]
        }
        assert not world.environment.secrets_files.filter(path="b.yaml").exists()
        assert not AuditEvent.objects.exists()

    def test_nor_a_role(self, world: World) -> None:
        file = world.secrets_file
        values = {"path": file.path, "secret_id": file.secret_id, "region": file.region}
        with pytest.raises(ValidationError) as caught:
            services.change_secrets_file(
                person(world.maintainer), secrets_file=file, edited=0,
                role_arn="arn:aws:iam::123456789012:role/admin", **values,
            )  # fmt: skip
        assert list(caught.value.message_dict) == ["role_arn"]

    def test_nor_a_namespace_or_cluster(self, world: World) -> None:
        actor = person(world.maintainer)
        for values in ({"namespace": "kube-system"}, {"cluster": make.make_cluster()}):
            with pytest.raises(ValidationError) as caught:
                services.change_environment(actor, environment=world.environment, edited=0, **values)
            assert list(caught.value.message_dict) == ["namespace"]
        with pytest.raises(ValidationError):
            services.create_environment(
                actor, project=world.project, slug="other", cluster=world.cluster, namespace="catalog-production",
                config_directory="k",
            )  # fmt: skip
        assert Environment.objects.get().namespace == "shop"

    def test_nor_a_repository(self, world: World) -> None:
        with pytest.raises(ValidationError) as caught:
            services.create_image(
                person(world.maintainer), project=world.project, name="x", registry=world.registry,
                repository="billing/api",
            )  # fmt: skip
        assert list(caught.value.message_dict) == ["repository"]

    def test_what_an_admin_enters_is_allotted_by_that(self, world: World) -> None:
        services.create_secrets_file(
            person(world.admin), environment=world.environment, path="b.yaml", secret_id="common/mail"
        )
        assert Allotment.objects.get(pattern="common/mail").project == world.project
        assert set(AuditEvent.objects.values_list("verb", flat=True)) == {
            "allotment.made",
            "secrets_file.created",
        }

    def test_other_fields_change_without_asking(self, world: World) -> None:
        Allotment.objects.all().delete()
        services.change_environment(
            person(world.maintainer), environment=world.environment, edited=0, name="Stage"
        )

    def test_the_form_refuses_before_it_asks_the_outside(
        self, world: World, sign_in: Any, outside: Any
    ) -> None:
        outside["secrets_file"] = [make_finding("The secret exists.")]
        fields = {
            "environment": world.environment.pk,
            "path": "b.yaml",
            "secret_id": "x",
            "region": "eu-west-2",
        }
        answer = sign_in(world.maintainer).post("/projects/shop/settings/secrets-files/new/", fields)
        assert answer.status_code == 422
        text = answer.content.decode()
        assert "is not allotted to Shop" in text
        assert "The secret exists." not in text


def make_finding(text: str) -> Any:
    """A finding that would tell something about what belongs to others."""
    from core.findings import FAILED, Finding

    return Finding(FAILED, text)


def test_a_new_project_gets_what_projects_usually_own(world: World) -> None:
    made = services.create_project(
        person(world.admin), slug="blog", name="Blog", repository_url="https://git.example/blog.git", allot_usual=True
    )  # fmt: skip
    assert not not_allotted(made, of_place(world.cluster, "blog-staging"))
    assert not not_allotted(made, of_secret("blog/staging", ""))
    assert not not_allotted(made, of_secret("slipway/blog/staging", ""))
    assert not_allotted(made, of_secret("slipway/shop/staging", ""))


def test_a_credential_entered_with_its_address_allots_the_address(world: World) -> None:
    made = services.create_project(
        SYSTEM_ACTOR, slug="blog", name="Blog", repository_url="https://git.example/blog.git",
        credential_kind="token", credential="canary",
    )  # fmt: skip
    assert made.allotments.get().pattern == "https://git.example/blog.git"


def test_the_reach_of_objects(world: World) -> None:
    admin = person(world.admin)
    for kind, pattern in (
        (Kind.OBJECTS_IN, "ingress-*"), (Kind.OBJECTS_OF, "Namespace/shop-*"),
        (Kind.OBJECTS_OF, "IngressClass.networking.k8s.io"),
    ):  # fmt: skip
        allotting.allot(
            admin, project=world.project, kind=kind, pattern=pattern, environment=world.environment
        )
    reach = reach_of(world.environment)
    assert reach.allows("ConfigMap", "", "shop", "a")
    assert reach.allows("ConfigMap", "", "ingress-nginx", "a")
    assert not reach.allows("ConfigMap", "", "kube-system", "a")
    assert reach.allows("Namespace", "", "", "shop-x")
    assert not reach.allows("Namespace", "", "", "kube-system")
    assert reach.allows("IngressClass", "networking.k8s.io", "", "nginx")
    assert not reach.allows("ClusterRoleBinding", "rbac.authorization.k8s.io", "", "x")
    assert not Reach("shop").allows("Namespace", "", "", "shop")


def test_the_page_says_who_owns_what(world: World, sign_in: Any) -> None:
    other = make.make_project(slug="other", name="Other")
    allotting.allot(SYSTEM_ACTOR, project=other, kind=Kind.SECRET, pattern="slipway/shop.staging")
    client = sign_in(world.admin)
    text = client.get("/admin/allotments/").content.decode()
    assert "also Other" in text
    assert "1 setting" in text
    assert "slipway/shop.staging" in client.get("/admin/allotments/?project=other").content.decode()
    with CaptureQueriesContext(connection) as few:
        client.get("/admin/allotments/")
    for n in range(5):
        make.make_secrets_file(world.environment, path=f"{n}.yaml", secret_id=f"s{n}")
        make.make_environment(make.make_project())
    with CaptureQueriesContext(connection) as more:
        client.get("/admin/allotments/")
    assert len(more) == len(few)


def test_the_form_of_an_allotment(world: World, sign_in: Any) -> None:
    client = sign_in(world.admin)
    page = client.get(
        "/admin/allotments/new/?project=shop&kind=objects_of&pattern=Namespace/shop"
    ).content.decode()
    assert 'value="Namespace/shop"' in page
    fields = {
        "project": world.project.pk, "kind": "objects_of", "pattern": "Namespace/shop", "environment": world.environment.pk,
    }  # fmt: skip
    assert client.post("/admin/allotments/new/", fields).status_code == 302
    row = Allotment.objects.get(kind=Kind.OBJECTS_OF)
    assert row.environment == world.environment
    assert client.post(f"/admin/allotments/{row.pk}/withdraw/").status_code == 302
    assert not Allotment.objects.filter(pk=row.pk).exists()


def test_everything_of_an_environment_is_asked_for(world: World) -> None:
    kinds = {wish.kind for wish in of_environment(world.environment)}
    assert kinds == {Kind.NAMESPACE, Kind.SECRET, Kind.REPOSITORY}
