"""Addresses of signing in and of a person's own account: the views of allauth that the portal uses.

allauth's other pages (signing up, resetting a password by mail, managing e-mail addresses) are not mounted: admins make
accounts and set new passwords, and the portal sends no mail. The names are allauth's own, because its code looks them up.
"""

from __future__ import annotations

from allauth.account import views
from allauth.mfa import urls as mfa
from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.cache import never_cache


def never_kept(patterns: list[URLPattern | URLResolver]) -> list[URLPattern | URLResolver]:
    """The same addresses with `Cache-Control: no-store`: their pages show secrets of the second factor."""
    return [
        path(str(one.pattern), include(never_kept(one.url_patterns)))
        if isinstance(one, URLResolver)
        else path(str(one.pattern), never_cache(one.callback), name=one.name)
        for one in patterns
    ]


urlpatterns = [
    path("login/", views.login, name="account_login"),
    path("logout/", views.logout, name="account_logout"),
    path("inactive/", views.account_inactive, name="account_inactive"),
    path("reauthenticate/", views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", views.password_change, name="account_change_password"),
    path("password/set/", views.password_set, name="account_set_password"),
    path("account/mfa/", include(never_kept(mfa.urlpatterns))),
]
