"""Common to all views of secrets: fetching the file, addresses, the check for a fresh sign-in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote, urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from core.incoming import takes_files
from core.redactor import redact_text
from engine.errors import SlipwayError
from people.fresh import address_to_confirm, is_fresh
from projects.access import environment_for
from projects.allotting.using import require_still
from projects.allotting.wishes import of_secret
from projects.models import Environment, SecretsFile
from secrets_ui.known.public import Place, label
from secrets_ui.known.rights import is_production

View = Callable[..., HttpResponse]


def holds_values(view: View) -> View:
    """For views that take or give a value: nothing keeps the answer, and no error report shows the form. Values may
    be long, or come as files."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = view(request, *args, **kwargs)
        response["Cache-Control"] = "no-store, private"
        return response

    return takes_files(never_cache(sensitive_post_parameters()(sensitive_variables()(guarded))))


def file_for(user: Any, project: str, environment: str, pk: int) -> SecretsFile:
    """The secrets file of an environment that the person may see. Raises Http404, and NotAllotted for a secret
    that is not allotted any more."""
    place = environment_for(user, project, environment)
    file = file_of(place, pk)
    require_still(place.project, of_secret(file.secret_id, file.role_arn))
    return file


def file_of(place: Environment, pk: int) -> SecretsFile:
    """A secrets file of an environment already fetched. Raises Http404."""
    file = SecretsFile.objects.filter(environment=place, pk=pk).first()
    if file is None:
        raise Http404("There is no such secrets file here.")
    file.environment = place
    return file


def page_url(file: SecretsFile, place: Place | None = None, **more: str) -> str:
    """The page with the file chosen, at a key's row."""
    environment = file.environment
    address = reverse("secrets:environment", args=[environment.project.slug, environment.slug])
    row = f"#{quote(label(*place))}" if place else ""  # a stored key may hold anything, also line ends
    return f"{address}?{urlencode({'file': file.pk, **more})}{row}"


def file_name(name: str) -> str:
    """The header that makes an answer a file of this name, whatever signs the name holds."""
    plain = "".join(sign if sign.isprintable() else "_" for sign in name)
    return content_disposition_header(as_attachment=True, filename=plain) or "attachment"


def url_of(name: str, file: SecretsFile, *more: object) -> str:
    """The address of something about a file."""
    environment = file.environment
    return reverse(f"secrets:{name}", args=[environment.project.slug, environment.slug, file.pk, *more])


def sign_in_first(request: HttpRequest, file: SecretsFile, back: str) -> HttpResponse | None:
    """Where the person is sent who wants to see a value of production and signed in too long ago; else nothing."""
    if not is_production(file) or is_fresh(request):
        return None
    address = address_to_confirm(back)
    if request.headers.get("HX-Request") or request.headers.get("X-Copy"):
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = address
        return answer
    return HttpResponseRedirect(address)


def said(error: SlipwayError, *, before: str = "") -> str:
    """An error as one sentence or two of a page."""
    return redact_text(f"{before}{error.message} {error.hint}").strip()
