"""Read-only raw tables of accounts. Accounts change on the portal's own pages, which protect the last admin."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group

from audit.admin import ReadOnlyAdmin
from people.models import SetupLink, User

# Django's own sign-in form of the admin has neither throttling nor a second factor.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# allauth's own table shows the secret of the authenticator app.
admin.site.unregister(Authenticator)
# Tables of libraries that the portal does not use: rows made there would have no effect and no audit event.
admin.site.unregister([EmailAddress, Group])


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """Accounts, without passwords."""

    list_display = ("username", "name", "email", "is_admin", "is_auditor", "is_active", "last_login")
    search_fields = ("username", "name", "email")
    exclude = ("password", "user_permissions", "groups", "first_name", "last_name")


@admin.register(SetupLink)
class SetupLinkAdmin(ReadOnlyAdmin):
    """Set-up links, without the hashes of their tokens."""

    list_display = ("created_at", "user", "used_at")
    exclude = ("token_hash",)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Second factors, without their secrets. They are taken away on the page of their person (people/second_steps.py)."""

    list_display = ("user", "type", "created_at", "last_used_at")
    exclude = ("data",)
