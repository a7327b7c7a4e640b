"""Addresses of GitHub's deliveries and of a project's build settings. Included before the pages of environments and of builds."""

from __future__ import annotations

from django.urls import path

from builds.incoming import views
from builds.pages import delivery_views, secret_views, settings_views

app_name = "pushes"
SETTINGS = "projects/<str:slug>/settings/builds/"

urlpatterns = [
    path("webhooks/github/", views.github, name="github"),
    path("builds/deliveries/", delivery_views.deliveries, name="deliveries"),
    path("builds/deliveries/<int:pk>/replay/", delivery_views.replay_one, name="replay"),
    path(SETTINGS, settings_views.rules, name="settings"),
    path(SETTINGS + "keys/", settings_views.keys, name="keys"),
    path(SETTINGS + "images/<str:name>/", settings_views.recipe, name="recipe"),
    path(SETTINGS + "secrets/new/", secret_views.secret_new, name="secret-new"),
    path(SETTINGS + "secrets/<int:pk>/", secret_views.secret, name="secret"),
    path(SETTINGS + "secrets/<int:pk>/remove/", secret_views.secret_remove, name="secret-remove"),
]
