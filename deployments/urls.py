"""Addresses of deploys. `/projects/<project>/<environment>/` matches any two words, so this file is included last."""

from __future__ import annotations

from django.urls import path

from deployments.pages import deploy_views, environment_views, history_views, mark_views, new_views

app_name = "deployments"
urlpatterns = [
    path("deploys/", history_views.history_page, name="history"),
    path("deploys/export.csv", history_views.export, name="export"),
    path("deploys/<int:number>/", deploy_views.deploy, name="deploy"),
    path("deploys/<int:number>/progress/", deploy_views.progress, name="progress"),
    path("deploys/<int:number>/cancel/", deploy_views.cancel, name="cancel"),
    path("deploys/<int:number>/rollback/", deploy_views.rollback, name="rollback"),
    path("deploys/<int:number>/again/", deploy_views.again, name="again"),
    path("deploys/<int:number>/bad/", mark_views.mark, name="mark-bad"),
    path("deploys/<int:number>/not-bad/", mark_views.unmark, name="unmark"),
    path("deploys/<int:number>/log", deploy_views.log, name="log"),
    path("deploys/<int:number>/stream", deploy_views.stream, name="stream"),
    path("projects/<str:project>/<str:environment>/deploy/", new_views.new, name="new"),
    path("projects/<str:project>/<str:environment>/deploy/preview/", new_views.preview_part, name="preview"),
    path(
        "projects/<str:project>/<str:environment>/changed-secrets/",
        environment_views.changed_secrets,
        name="changed-secrets",
    ),
    path(
        "projects/<str:project>/<str:environment>/alarms/",
        environment_views.alarm_history,
        name="alarms",
    ),
    path("projects/<str:project>/<str:environment>/", environment_views.environment, name="environment"),
]
