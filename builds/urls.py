"""Addresses of builds."""

from __future__ import annotations

from django.urls import path

from builds.pages import build_views, list_views, new_views

app_name = "builds"
urlpatterns = [
    path("", list_views.builds, name="list"),
    path("new/", new_views.new, name="new"),
    path("images/", list_views.images, name="images"),
    path("<int:number>/", build_views.build, name="build"),
    path("<int:number>/progress/", build_views.progress, name="progress"),
    path("<int:number>/cancel/", build_views.cancel, name="cancel"),
    path("<int:number>/retry/", build_views.retry, name="retry"),
    path("<int:number>/rebuild/", build_views.rebuild, name="rebuild"),
    path("<int:number>/log", build_views.log, name="log"),
    path("<int:number>/stream", build_views.stream, name="stream"),
]
