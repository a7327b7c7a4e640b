"""Addresses of signing in and of what a person does with his own account: allauth's views, only those that work here.

Its other pages (signing up, resetting a password by mail, managing e-mail addresses) are not mounted: accounts are made by
admins, who also give new passwords, and the portal sends no mail. Names are allauth's own, its code asks for them.
"""

from __future__ import annotations

from allauth.account import views
from django.urls import include, path

urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("account/mfa/", include("allauth.mfa.urls")),
]
