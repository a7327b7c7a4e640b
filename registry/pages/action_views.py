"""What people ask for: renewing, pausing, resuming, taking a Secret over. Each view calls one service and goes back."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from audit.actors import person
from core.kept import keeps
from people.services import require_admin
from projects.access import visible_projects
from projects.lookup import cluster_for
from projects.models import Cluster
from registry import asking, services
from registry.models import Credential
from registry.pages.forms import PauseForm
from registry.policies import policy_of
from ui.back import next_or
from ui.forms import page, posted, saved

KEPT = ("cluster", "q", "show", "page")  # of the address to go back to


@require_POST
def refresh(request: HttpRequest) -> HttpResponse:
    """Renews one namespace (`place`: cluster/namespace), a cluster (`place`: cluster) or everything (without)."""
    slug, _, namespace = request.POST.get("place", "").partition("/")
    if not slug:
        rows = asking.refresh_all(person(request.user))
        if not rows:
            messages.info(request, "There is no pull secret to renew yet.")
        return back(request)
    services.refresh(person(request.user), _cluster(request, slug), namespace=namespace)
    wanted = next_or(request, "")
    return redirect(wanted) if wanted else back(request)


def _cluster(request: HttpRequest, slug: str) -> Cluster:
    """A cluster that the person sees: one with environments of their projects. Raises Http404."""
    rows = Cluster.objects.current().filter(slug=slug).defer("kubeconfig")
    if not request.user.is_admin:  # type: ignore[union-attr]  # signed in
        rows = rows.filter(environments__project__in=visible_projects(request.user).current()).distinct()
    found = rows.first()
    if found is None:
        raise Http404("No such cluster.")
    return found


def back(request: HttpRequest) -> HttpResponse:
    """To the page as it was filtered when the button was pressed."""
    given = QueryDict(request.POST.get("back", ""))
    kept = QueryDict(mutable=True)
    for name in KEPT:
        if given.get(name):
            kept[name] = given[name]
    address = reverse("registry:overview")
    return redirect(f"{address}?{kept.urlencode()}" if kept else address)


@require_http_methods(["GET", "POST"])
@keeps(PauseForm)
def pause(request: HttpRequest, slug: str) -> HttpResponse:
    """Pausing a cluster, or one namespace of it (`namespace`): what that means, and for how long."""
    cluster = cluster_for(request.user, slug)
    namespace = (request.POST or request.GET).get("namespace", "")
    rows = Credential.objects.filter(cluster=cluster)
    rows = rows.filter(namespace=namespace) if namespace else rows
    if namespace and not rows.exists():
        raise Http404("The portal keeps no credential there.")
    form = PauseForm(posted(request))

    def save() -> None:
        services.pause(person(request.user), cluster, namespace=namespace, until=form.until)

    if request.method == "POST" and saved(form, save):
        messages.success(
            request, f"{namespace or cluster.name}: paused. The credential is looked at, and not renewed."
        )
        return back(request)
    ends = rows.exclude(expires_at=None).order_by("expires_at").values_list("expires_at", flat=True).first()
    return page(request, "registry/pause.html", form, cluster=cluster, namespace=namespace, ends=ends)


@require_POST
def resume(request: HttpRequest, slug: str) -> HttpResponse:
    """Ends a pause of a cluster, or of one namespace. Where the policy is off, it stays off."""
    cluster = cluster_for(request.user, slug)
    namespace = request.POST.get("namespace", "")
    services.resume(person(request.user), cluster, namespace=namespace)
    if not policy_of(cluster).enabled:
        messages.warning(request, f"{cluster.name} is still switched off in its settings.")
    return back(request)


@require_POST
def adopt(request: HttpRequest, slug: str) -> HttpResponse:
    """Lets the portal replace a Secret that somebody else wrote (`credential`)."""
    require_admin(person(request.user))
    cluster = cluster_for(request.user, slug)
    given = request.POST.get("credential", "")
    row = (
        Credential.objects.filter(cluster=cluster, pk=given).first()
        if given.isdecimal() and len(given) < 19
        else None
    )
    if row is None:
        raise Http404("No such credential.")
    services.adopt(person(request.user), row)
    return back(request)
