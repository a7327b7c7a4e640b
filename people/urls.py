"""Addresses of accounts."""

from __future__ import annotations

from django.urls import path

from people import help_views, leaving_views, views

app_name = "people"

urlpatterns = [
    path("setup/<str:token>/", views.setup, name="setup"),
    path("account/", views.account, name="account"),
    path("admin/people/", views.people, name="people"),
    path("admin/people/new/", views.person_new, name="person-new"),
    path("admin/people/<int:pk>/", views.person_edit, name="person"),
    path("admin/people/<int:pk>/archive/", leaving_views.account, name="person-archive"),
    path("admin/people/<int:pk>/password/", views.person_password, name="person-password"),
    path("admin/people/<int:pk>/link/", help_views.password_link, name="person-link"),
    path("admin/people/<int:pk>/second-step/", help_views.second_step, name="person-second-step"),
]
