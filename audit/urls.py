"""Addresses of the audit."""

from __future__ import annotations

from django.urls import path

from audit import views

app_name = "audit"
urlpatterns = [
    path("", views.events, name="list"),
    path("export.csv", views.export, name="export"),
    path("verify/", views.verify, name="verify"),
    path("<int:pk>/", views.event, name="event"),
]
