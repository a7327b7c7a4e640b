"""Credentials at rest: encrypted, readable with every key, written with the first."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.forms import modelform_factory

from audit.actors import SYSTEM_ACTOR
from audit.models import AuditEvent
from core.fields import CannotDecrypt, Sealed, decrypt, encrypt
from core.management.commands import rotatekeys
from projects.infrastructure import change_cluster
from projects.models import Cluster, Project
from tests.factories import KUBECONFIG, make_cluster, make_project

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def stored(model: Any, column: str, pk: int) -> str:
    """What the database really holds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {model._meta.db_table} WHERE id = %s", [pk])
        return str(cursor.fetchone()[0])


@pytest.mark.django_db
def test_the_database_never_sees_the_value() -> None:
    cluster = make_cluster(kubeconfig="canary-kubeconfig")
    raw = stored(Cluster, "kubeconfig", cluster.pk)
    assert "canary" not in raw
    assert Cluster.objects.get(pk=cluster.pk).kubeconfig.open() == "canary-kubeconfig"
    assert encrypt("x") != encrypt("x")


@pytest.mark.django_db
def test_not_set_can_be_asked_for() -> None:
    project = make_project(credential="")
    assert stored(Project, "credential", project.pk) == ""
    assert Project.objects.filter(credential="").exists()


@pytest.mark.django_db
def test_rotation_writes_with_the_first_key_and_the_old_one_can_go(settings: Any, capsys: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    cluster = make_cluster(kubeconfig="canary-kubeconfig")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    call_command("rotatekeys")
    assert "projects.Cluster: 1 rows (kubeconfig)" in capsys.readouterr().out
    settings.ENCRYPTION_KEYS = [NEW]
    assert Cluster.objects.get(pk=cluster.pk).kubeconfig.open() == "canary-kubeconfig"


@pytest.mark.django_db
def test_without_the_key_it_says_what_to_do(settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    written = encrypt("canary")
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CannotDecrypt) as error:
        decrypt(written)
    assert "ENCRYPTION_KEYS" in error.value.message
    assert "canary" not in error.value.message
    assert error.value.hint


@pytest.mark.django_db
def test_a_row_that_was_deleted_meanwhile_is_left_alone() -> None:
    cluster = make_cluster()
    pk = cluster.pk
    cluster.delete()
    assert rotatekeys.rotate_row(Cluster._default_manager, pk, ["kubeconfig"]) == 0


@pytest.mark.django_db(transaction=True)
def test_rotation_never_writes_an_old_value_over_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody saves while the row is between being read and being written: he waits, and his value stays."""
    cluster = make_cluster(kubeconfig="before")
    reading, saved = threading.Event(), threading.Event()

    def save() -> None:
        try:
            reading.wait(10)
            with transaction.atomic():
                Cluster.objects.filter(pk=cluster.pk).update(kubeconfig="newer")
            saved.set()
        finally:
            connection.close()

    real = Cluster._default_manager.filter

    def slow_filter(*args: Any, **kwargs: Any) -> Any:
        # The row is read and locked here; the write of the rotation comes next.
        if not reading.is_set():
            reading.set()
            saved.wait(0.5)
        return real(*args, **kwargs)

    thread = threading.Thread(target=save)
    thread.start()
    monkeypatch.setattr(Cluster._default_manager, "filter", slow_filter)
    rotatekeys.rotate_row(Cluster._default_manager, cluster.pk, ["kubeconfig"])
    monkeypatch.undo()
    thread.join()
    assert Cluster.objects.get(pk=cluster.pk).kubeconfig.open() == "newer"


@pytest.mark.django_db
def test_a_row_holds_it_sealed_from_the_first_moment() -> None:
    """Also one that was not loaded: nothing shows the value by accident."""
    fresh = Cluster(slug="x", name="X", kubeconfig="canary-kubeconfig")
    fresh.full_clean()
    fresh.save()
    again = Cluster.objects.get(pk=fresh.pk)
    for row in (fresh, again):
        assert isinstance(row.kubeconfig, Sealed)
        assert "canary" not in f"{row.kubeconfig} {row.kubeconfig!r} {vars(row)}"
        assert row.kubeconfig.open() == "canary-kubeconfig"
    before = stored(Cluster, "kubeconfig", fresh.pk)
    again.save()
    assert stored(Cluster, "kubeconfig", fresh.pk) == before  # not encrypted a second time


@pytest.mark.django_db
def test_what_must_be_set_must_be_set() -> None:
    with pytest.raises(ValidationError) as error:
        Cluster(slug="x", name="X", kubeconfig="").full_clean()
    assert set(error.value.message_dict) == {"kubeconfig"}


def test_no_form_of_a_model_has_it() -> None:
    assert set(modelform_factory(Cluster, fields="__all__").base_fields) & {"kubeconfig"} == set()


@pytest.mark.django_db
def test_undecryptable_it_can_be_loaded_and_replaced(settings: Any) -> None:
    """Only who uses the value hears of it, and entering it again is the way out."""
    settings.ENCRYPTION_KEYS = [OLD]
    cluster = make_cluster(kubeconfig=KUBECONFIG)
    settings.ENCRYPTION_KEYS = [NEW]
    row = Cluster.objects.get(pk=cluster.pk)
    with pytest.raises(CannotDecrypt):
        row.kubeconfig.open()
    change_cluster(SYSTEM_ACTOR, cluster=row, edited=row.edited, name=row.name, kubeconfig=KUBECONFIG)
    assert Cluster.objects.get(pk=cluster.pk).kubeconfig.open() == KUBECONFIG


@pytest.mark.django_db
def test_the_same_value_entered_again_is_no_change() -> None:
    row = make_cluster(kubeconfig=KUBECONFIG)
    change_cluster(SYSTEM_ACTOR, cluster=row, edited=row.edited, name=row.name, kubeconfig=KUBECONFIG)
    assert not AuditEvent.objects.filter(verb="cluster.changed").exists()
