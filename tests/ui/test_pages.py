"""The frame, the parts and the pages of errors, rendered by Django's own engine."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from django.template.loader import get_template, render_to_string

from core.kept import Kept
from portal.shell import shell
from tests.ui import samples, site


def names(user: object, path: str = "/") -> list[str]:
    context = shell(site.request(path, user=user))
    return [item.name for item in (*context["nav"], *context["nav_end"])]


def test_navigation_shows_what_a_person_may_open() -> None:
    assert names(site.DEVELOPER) == ["Board", "Deploys", "Builds", "Secrets", "Registry"]
    assert names(site.AUDITOR) == ["Board", "Deploys", "Builds", "Secrets", "Registry", "Audit"]
    assert names(site.ADMIN) == ["Board", "Deploys", "Builds", "Secrets", "Registry", "Audit", "Admin"]
    assert names(site.NOBODY) == []


def test_a_phone_shows_what_fits_and_the_rest_under_more() -> None:
    assert not shell(site.request(user=site.DEVELOPER))["nav_more"]
    context = shell(site.request())
    assert context["nav_more"]
    assert site.page("404").count('href="/admin/"') == 2  # at the side, and under More on a phone
    many = {"nav": [replace(entry, waiting=0) for entry in context["nav"] * 2], "nav_more": True}
    assert 'id="more"' in render_to_string("components/nav.html", {**context, **many})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", {"Board": "page"}),
        ("/projects/storefront/staging/", {"Board": "true"}),
        ("/projects/storefront/staging/secrets/", {"Secrets": "true"}),
        ("/secrets/", {"Secrets": "page"}),
        ("/deploys/", {"Deploys": "page"}),
        ("/deploys/17/", {"Deploys": "true"}),
        ("/elsewhere/", {}),
    ],
)
def test_navigation_marks_where_one_is(path: str, expected: dict[str, str]) -> None:
    nav = shell(site.request(path))["nav"]
    assert {item.name: item.current for item in nav if item.current} == expected


@pytest.mark.parametrize(
    ("cookie", "expected"), [("dark", "dark"), ("light", "light"), ("", ""), ('"><script>', "")]
)
def test_the_theme_comes_from_the_cookie(cookie: str, expected: str) -> None:
    html = site.page("404", exception="", theme=cookie)
    assert (f'data-theme="{expected}"' in html) == bool(expected)
    assert "<script>" not in html


def test_signing_out_is_a_post_with_a_token() -> None:
    html = site.page("404")
    form = html[html.index('action="/logout/"') :]
    assert "csrfmiddlewaretoken" in form[: form.index("</form>")]


def test_htmx_may_neither_evaluate_nor_style_nor_keep_pages() -> None:
    head = site.page("404")
    assert '"includeIndicatorStyles":false' in head
    assert '"allowEval":false' in head
    assert '"historyCacheSize":0' in head


def test_everything_given_to_a_part_is_escaped() -> None:
    bad = "<img src=x>"
    template = """{% tag bad %}{% revision bad bad bad bad %}{% person bad %}{% key bad %}{% short_id bad bad %}
        {% crumb bad bad %}{% copy bad bad %}{% output_lines lines %}{% cluster_event bad %}
        {% cluster_event event %}{% progress 1 bad %}
        {% checks checks %}{% diff lines bad %}{% notice "failed" %}{{ bad }}{% endnotice %}{% dialog "x" bad %}{% enddialog %}
        {% menu bad %}{{ bad }}{% endmenu %}{% empty bad %}{{ bad }}{% endempty %}"""
    checks = [{"state": bad, "text": bad, "detail": bad, "url": bad}]
    event = {"type": bad, "reason": bad, "text": bad, "count": 2}
    html = site.render(template, bad=bad, lines=[bad, f"+{bad}"], checks=checks, event=event)
    assert "<img" not in html
    assert html.count("&lt;img") > 15


def test_log_lines_have_addresses_and_levels() -> None:
    html = site.render('{% include "components/log_folds.html" %}')
    assert '<li id="L9" class="bad"><a href="#L9" tabindex="-1">9</a>' in html
    assert "&lt;b&gt;not bold&lt;/b&gt;" in html
    assert 'data-step="rollout" open' in html


def test_a_step_that_has_not_begun_has_no_colour_and_no_time() -> None:
    html = site.render("{% steps steps %}")
    last = html[html.rindex("<li") :]
    assert last.startswith("<li><svg")
    assert "–" not in last
    assert html.count('aria-current="step"') == 1


def test_an_empty_value_is_a_dash() -> None:
    html = site.render(
        "{% ago none %}{% person none %}{% revision none %}{% elapsed none %}{% clock none %}", none=None
    )
    assert html.count("–") == 5


def test_pages_of_errors_need_no_context() -> None:
    for name in ("500.html", "400.html"):
        assert "Not changed" in get_template(name).render()


def test_a_refusal_says_why_and_whom_to_ask() -> None:
    html = site.page("403", exception="You may not deploy to production", ask="mira or lead")
    assert "<h1>You may not deploy to production</h1>" in html
    assert "mira or lead" in html
    assert "7c2e41d09b" in html


@pytest.mark.parametrize("words", ["Resolver404", "No Project matches the given query.", "", None])
def test_what_django_says_by_itself_is_not_shown(words: str | None) -> None:
    assert "<h1>There is nothing at this address</h1>" in site.page("404", exception=words)


def test_an_ended_session_keeps_what_was_typed() -> None:
    kept = Kept((("note", 'a "quoted" note'),), labels={"note": "Note"})
    context = {"kept": kept, "page": "/projects/new/", "action": "/projects/new/", "signed_in": True}
    html = render_to_string("session_ended.html", context, site.request("/projects/new/"))
    assert 'name="note" value="a &quot;quoted&quot; note"' in html
    assert "<dt>Note</dt><dd>a &quot;quoted&quot; note</dd>" in html
    assert 'action="/projects/new/"' in html
    assert "csrfmiddlewaretoken" in html


def test_evidence_of_the_engine_is_shown_as_it_is() -> None:
    html = site.render('{% include "components/failure.html" with sentence="Crashed" %}')
    pod = samples.EVIDENCE[0]
    assert pod.pod in html
    assert "exit code 1" in html
    assert len(re.findall(r"<li[ >]", html)) == len(pod.logs) + len(pod.previous_logs) + len(pod.events)
    assert '<li class="bad"><span>django.db' in html
    assert "<b>BackOff</b> restarting failed container web" in html
    assert html.count("×9") == 1
    assert "×1<" not in html


def test_an_event_that_an_older_deploy_kept_as_text_is_shown_as_it_is() -> None:
    html = site.render("{% cluster_event event %}", event="Warning BackOff (x5): restarting <web>")
    assert "<span>Warning BackOff (x5): restarting &lt;web&gt;</span>" in html
    assert site.render("{% cluster_event event %}", event="Normal Pulled: image") != html
