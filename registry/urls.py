"""Addresses of the pull credentials and of the registries' images."""

from __future__ import annotations

from django.urls import path

from registry.pages import action_views, image_views, overview_views, settings_views

app_name = "registry"
urlpatterns = [
    path("", overview_views.registry, name="overview"),
    path("refresh/", action_views.refresh, name="refresh"),
    path("images/<str:project>/<str:name>/", image_views.image, name="image"),
    path("<str:slug>/pause/", action_views.pause, name="pause"),
    path("<str:slug>/resume/", action_views.resume, name="resume"),
    path("<str:slug>/adopt/", action_views.adopt, name="adopt"),
    path("<str:slug>/settings/", settings_views.settings, name="settings"),
]
