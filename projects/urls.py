"""Addresses of settings and infrastructure. Included before the pages of environments: `settings` and `new` are no slugs."""

from __future__ import annotations

from django.urls import path

from projects.pages import (
    allotment_views,
    infrastructure_views,
    leaving_views,
    namespace_views,
    new_views,
    parts_views,
    proposal_views,
    role_views,
    variable_views,
    views,
)

app_name = "projects"
SETTINGS = "projects/<str:slug>/settings/"

urlpatterns = [
    path("projects/new/", new_views.new, name="new"),
    path(SETTINGS, views.general, name="settings"),
    path("archived/", leaving_views.archived, name="archived"),
    path(SETTINGS + "archive/", leaving_views.project, name="project-archive"),
    path(SETTINGS + "check/", views.general_check, name="settings-check"),
    path(SETTINGS + "environments/", views.environments, name="environments"),
    path(SETTINGS + "environments/new/", views.environment_new, name="environment-new"),
    path(SETTINGS + "proposals/", proposal_views.proposals, name="proposals"),
    path(SETTINGS + "environments/<str:env>/", views.environment, name="environment"),
    path(SETTINGS + "environments/<str:env>/archive/", leaving_views.environment, name="environment-archive"),
    path(SETTINGS + "environments/<str:env>/check/", views.environment_check, name="environment-check"),
    path(SETTINGS + "environments/<str:env>/up/", views.environment_up, name="environment-up"),
    path(
        SETTINGS + "environments/<str:env>/namespace/",
        namespace_views.namespace_create,
        name="namespace_create",
    ),
    path(SETTINGS + "environments/<str:env>/variable/", variable_views.variable_add, name="variable-add"),
    path(SETTINGS + "images/", parts_views.images, name="images"),
    path(SETTINGS + "images/new/", parts_views.image_new, name="image-new"),
    path(SETTINGS + "images/<str:name>/", parts_views.image, name="image"),
    path(SETTINGS + "images/<str:name>/archive/", leaving_views.image, name="image-archive"),
    path(SETTINGS + "secrets-files/", parts_views.secrets_files, name="secrets-files"),
    path(SETTINGS + "secrets-files/new/", parts_views.secrets_file_new, name="secrets-file-new"),
    path(SETTINGS + "secrets-files/<int:pk>/", parts_views.secrets_file, name="secrets-file"),
    path(
        SETTINGS + "secrets-files/<int:pk>/remove/",
        parts_views.secrets_file_remove,
        name="secrets-file-remove",
    ),
    path(SETTINGS + "members/", parts_views.members, name="members"),
    path(SETTINGS + "members/<int:pk>/revoke/", role_views.member_revoke, name="member-revoke"),
    path("admin/people/<int:pk>/roles/", role_views.person_roles, name="person-roles"),
    path("admin/first-steps/", views.steps, name="first-steps"),
    path("admin/allotments/", allotment_views.allotments, name="allotments"),
    path("admin/allotments/new/", allotment_views.allotment_new, name="allotment-new"),
    path(
        "admin/allotments/<int:pk>/withdraw/", allotment_views.allotment_withdraw, name="allotment-withdraw"
    ),
    path("admin/clusters/", infrastructure_views.clusters, name="clusters"),
    path("admin/clusters/new/", infrastructure_views.cluster_new, name="cluster-new"),
    path("admin/clusters/<str:slug>/", infrastructure_views.cluster, name="cluster"),
    path("admin/clusters/<str:slug>/archive/", leaving_views.cluster, name="cluster-archive"),
    path("admin/clusters/<str:slug>/check/", infrastructure_views.cluster_check, name="cluster-check"),
    path("admin/registries/", infrastructure_views.registries, name="registries"),
    path("admin/registries/new/", infrastructure_views.registry_new, name="registry-new"),
    path("admin/registries/<str:slug>/", infrastructure_views.registry, name="registry"),
    path("admin/registries/<str:slug>/archive/", leaving_views.registry, name="registry-archive"),
    path("admin/registries/<str:slug>/check/", infrastructure_views.registry_check, name="registry-check"),
]
