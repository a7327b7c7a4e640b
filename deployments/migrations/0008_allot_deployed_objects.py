"""Objects beyond their environment's namespace that releases have put in place become allotted to it, so that nothing stops
working."""

import json
import zlib

from django.db import migrations

RELEASES = 5  # the newest of each environment: what runs, and what a rollback may put back


def allot(apps, schema_editor):
    """Exact allotments for other namespaces, and for objects of kinds without a namespace. Idempotent."""
    Allotment = apps.get_model("projects", "Allotment")
    Release = apps.get_model("deployments", "Release")
    for environment in apps.get_model("projects", "Environment").objects.all():
        packed = Release.objects.filter(environment_id=environment.pk).order_by("-pk")
        for objects in packed.values_list("objects_compressed", flat=True)[:RELEASES]:
            for kind, pattern in beyond(json.loads(zlib.decompress(bytes(objects))), environment.namespace):
                Allotment.objects.get_or_create(
                    project_id=environment.project_id, environment_id=environment.pk, kind=kind, pattern=pattern,
                    cluster_id=None, registry_id=None,
                )


def beyond(objects, namespace):
    """The kinds and patterns of the allotments that these stored objects need."""
    for entry in objects:
        if "object" not in entry:
            place = entry["secret"]["ref"].partition("/")[2].rpartition("/")[0]
            if place and place != namespace:
                yield "objects_in", place
            continue
        body = entry["object"]
        group = body["apiVersion"].rpartition("/")[0]
        place = body["metadata"].get("namespace", "")
        if place and place != namespace:
            yield "objects_in", place
        if not place:
            yield "objects_of", f"{body['kind']}{'.' + group if group else ''}/{body['metadata']['name']}"


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0007_override_and_held_back"),
        ("projects", "0003_allot_what_is_used"),
    ]

    operations = [migrations.RunPython(allot, migrations.RunPython.noop)]
