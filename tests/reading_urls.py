"""The portal's addresses, with empty pages for those that the reading pages link to and other parts provide."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from deployments.urls import urlpatterns as deployments_patterns
from portal.urls import urlpatterns as portal_patterns


def empty(request: HttpRequest, **_: object) -> HttpResponse:
    return HttpResponse("")


def missing(patterns, wanted):
    known = {pattern.name for pattern in patterns}
    return [path(address, empty, name=name) for address, name in wanted if name not in known]


elsewhere = missing(
    deployments_patterns,
    [("deploys/<int:number>/", "deploy"), ("projects/<str:project>/<str:environment>/deploy/", "new")],
)
has_projects = any(getattr(p, "app_name", "") == "projects" for p in portal_patterns)
urlpatterns = [
    *([] if has_projects else [path("", include("projects.urls"))]),
    *[p for p in portal_patterns if getattr(p, "app_name", "") != "deployments"],
    path("", include(([*elsewhere, *deployments_patterns], "deployments"))),
]
