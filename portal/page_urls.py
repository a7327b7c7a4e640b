"""Addresses of the board and of a project's page."""

from __future__ import annotations

from django.urls import path

from portal import views

app_name = "portal"
urlpatterns = [
    path("", views.board, name="board"),
    path("projects/<str:project>/", views.project, name="project"),
]
