"""Addresses of the board, of a project's page and of the admin's first page."""

from __future__ import annotations

from django.urls import path

from portal import admin_page, views
from portal.first_deploy.views import first_deploy

app_name = "portal"
urlpatterns = [
    path("", views.board, name="board"),
    path("admin/", admin_page.admin, name="admin"),
    path("projects/<str:project>/settings/first-deploy/", first_deploy, name="first-deploy"),
    path("projects/<str:project>/", views.project, name="project"),
]
