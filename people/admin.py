"""Read-only raw tables of accounts. Accounts change on the portal's own pages, which protect the last admin."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group

from audit.actors import person
from audit.admin import ReadOnlyAdmin
from people.models import SetupLink, User
from people.services import remove_second_factor

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

    list_display = ("created_at", "used_at")
    exclude = ("token_hash",)


@admin.register(Authenticator)
class AuthenticatorAdmin(ReadOnlyAdmin):
    """Second factors, without their secrets. An admin deletes one for a person who lost their phone; that is audited."""

    list_display = ("user", "type", "created_at", "last_used_at")
    exclude = ("data",)

    def has_delete_permission(self, request: object, obj: object = None) -> bool:
        """Always true: an admin must be able to help a person who lost their phone."""
        return True

    def delete_model(self, request: Any, obj: Authenticator) -> None:
        """Deletes one through the service, which audits it."""
        remove_second_factor(person(request.user), factor=obj)

    def delete_queryset(self, request: Any, queryset: Any) -> None:
        """The same for those that were ticked in the list."""
        for factor in queryset.select_related("user"):
            remove_second_factor(person(request.user), factor=factor)
