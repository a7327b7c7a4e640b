"""What the settings name becomes allotted to their projects, so that nothing stops working."""

from django.db import migrations


def allot(apps, schema_editor):
    """One exact allotment for each namespace, secret, role, repository and Git address in use. Idempotent."""
    get = apps.get_model
    Allotment = get("projects", "Allotment")

    def make(**values):
        Allotment.objects.get_or_create(**{"cluster_id": None, "registry_id": None, "environment_id": None, **values})

    for row in get("projects", "Environment").objects.values("project_id", "cluster_id", "namespace"):
        make(project_id=row["project_id"], kind="namespace", cluster_id=row["cluster_id"], pattern=row["namespace"])
    files = get("projects", "SecretsFile").objects.values_list("environment__project_id", "secret_id", "role_arn")
    for project, secret_id, role_arn in files:
        make(project_id=project, kind="secret", pattern=secret_id)
        if role_arn:
            make(project_id=project, kind="role", pattern=role_arn)
    for project, registry, repository in get("projects", "Image").objects.values_list("project_id", "registry_id", "repository"):
        make(project_id=project, kind="repository", registry_id=registry, pattern=repository)
    for row in get("projects", "Project").objects.exclude(credential_kind="").values("id", "repository_url"):
        make(project_id=row["id"], kind="git", pattern=row["repository_url"])


class Migration(migrations.Migration):
    dependencies = [("projects", "0002_allotments")]

    operations = [migrations.RunPython(allot, migrations.RunPython.noop)]
