"""Addresses of secrets."""

from __future__ import annotations

from django.urls import path

from secrets_ui.pages import (
    bulk_views,
    compare_views,
    creation_views,
    edit_views,
    environment_views,
    overview_views,
    request_views,
    reveal_views,
    review_views,
    version_views,
    whole_views,
)

app_name = "secrets"
_PAGE = "projects/<str:project>/<str:environment>/secrets/"
_FILE = f"{_PAGE}<int:file>/"
urlpatterns = [
    path("secrets/", overview_views.overview, name="overview"),
    path(_PAGE, environment_views.environment, name="environment"),
    path(f"{_PAGE}compare/", compare_views.compare_page, name="compare"),
    path(f"{_FILE}copy/", compare_views.copy_page, name="copy"),
    path(f"{_FILE}import/", bulk_views.import_page, name="import"),
    path(f"{_FILE}import/preview/", bulk_views.preview, name="preview"),
    path(f"{_FILE}download/", bulk_views.download_page, name="download"),
    path(f"{_FILE}requests/", request_views.requests, name="requests"),
    path(f"{_FILE}requests/<int:asked>/", request_views.request_page, name="request"),
    path(f"{_FILE}requests/<int:asked>/redo/", request_views.do_again, name="request-redo"),
    path(f"{_FILE}requests/<int:asked>/reveal/", request_views.look_at_value, name="request-reveal"),
    path(f"{_FILE}read/", version_views.read, name="read"),
    path(f"{_FILE}create/", version_views.make, name="create"),
    path(f"{_FILE}create/<int:asked>/", creation_views.creation_page, name="creation"),
    path(f"{_FILE}versions/", version_views.versions, name="versions"),
    path(f"{_FILE}reveal/", reveal_views.show, name="reveal"),
    path(f"{_FILE}draft/", reveal_views.draft, name="draft"),
    path(f"{_FILE}open/", edit_views.open_value, name="open"),
    path(f"{_FILE}set/", edit_views.set_value, name="set"),
    path(f"{_FILE}add/", edit_views.add, name="add"),
    path(f"{_FILE}rename/", edit_views.rename, name="rename"),
    path(f"{_FILE}remove/", edit_views.remove, name="remove"),
    path(f"{_FILE}secret/new/", whole_views.new_secret, name="secret-new"),
    path(f"{_FILE}secret/remove/", whole_views.drop_secret, name="secret-drop"),
    path(f"{_FILE}undo/", edit_views.take_back, name="undo"),
    path(f"{_FILE}discard/", edit_views.discard, name="discard"),
    path(f"{_FILE}mend/", edit_views.mend_value, name="mend"),
    path(f"{_FILE}review/", review_views.review_page, name="review"),
    path(f"{_FILE}decide/", review_views.decide, name="decide"),
]
