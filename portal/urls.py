"""Every address of the portal. The words used here cannot be slugs (core/slugs.RESERVED)."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from portal import health
from portal.live import views as live
from portal.search.views import search
from portal.status import metrics, views

admin.site.site_header = "Slipway: raw tables"
admin.site.site_title = "Slipway"
handler400 = "portal.errors.bad_request"
handler404 = "portal.errors.not_found"
handler429 = "portal.errors.too_many"  # allauth's: after too many tries
handler500 = "portal.errors.server_error"

to_own_password = RedirectView.as_view(pattern_name="account_change_password")

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("status/", views.status, name="status"),
    path("changes/", live.changes, name="changes"),
    path("search/", search, name="search"),
    path("", include("people.account_urls")),
    # Django's own page for this has no throttling and no audit event.
    path("django-admin/password_change/", to_own_password, name="raw_password"),
    path("django-admin/", admin.site.urls),
    path("", include("people.urls")),
    path("", include("builds.hook_urls")),
    # Before the pages of environments: /projects/<slug>/settings/ must not be read as /projects/<slug>/<env>/.
    path("", include("projects.urls")),
    path("audit/", include("audit.urls")),
    path("", include("secrets_ui.urls")),
    path("registry/", include("registry.urls")),
    path("builds/", include("builds.urls")),
    # Last: `/projects/<project>/` and `/projects/<project>/<environment>/` take any word.
    path("", include("portal.page_urls")),
    path("", include("deployments.urls")),
]
