"""Accounts among the raw tables: to be looked at. They are changed on the portal's own pages, which guard the last admin."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from django.contrib import admin

from audit.admin import ReadOnlyAdmin
from people.models import SetupLink, User

# Django's own sign-in form of the admin knows neither throttling nor the second step.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# allauth registers it with the secret of the authenticator app in plain sight.
admin.site.unregister(Authenticator)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """Accounts, without passwords."""

    list_display = ("username", "name", "email", "is_admin", "is_auditor", "is_active", "last_login")
    search_fields = ("username", "name", "email")
    exclude = ("password", "user_permissions", "groups", "first_name", "last_name")


@admin.register(SetupLink)
class SetupLinkAdmin(ReadOnlyAdmin):
    """Whether the set-up link was used."""

    list_display = ("created_at", "used_at")
    exclude = ("token_hash",)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Who has a second step, without its secret. Deleting one lets a person in who lost their phone."""

    list_display = ("user", "type", "created_at", "last_used_at")
    exclude = ("data",)

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        """Allowed: the way out for a lost phone."""
        return True
