"""The finder of faults in the words of pages finds them, and leaves alone what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.wording import PATTERNS, blocks_of, faults

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<p>Objects of `kubectl apply` stay</p>", "a backtick outside of <code>"),
        ("<p>There is no a secret</p>", "“no a”"),
        ("<p>these 1 would be taken back</p>", "“these 1”"),
        ("<p>fails since <time data-ago>39 s ago</time></p>", "“since 3 min ago”"),
        ("<p>rolled back to to main</p>", "a word said twice"),
        ("<p>each of 1 events</p>", "“1 things”"),
        ("<p>a environment</p>", "“a error”"),
        ("<p>an namespace</p>", "“an name”"),
        ("<p>Nothing is there .</p>", "a blank before a comma or full stop"),
    ],
)
def test_it_finds_each_fault(html: str, fault: str) -> None:
    assert [found.partition(":")[0] for found in faults(html)] == [fault]


@pytest.mark.parametrize(
    "html",
    [
        "<p>Type <code>`x`</code> here, <b>a one-time link</b>, a user, an hour, an HTTP error</p>",
        "<p>1 process, 1 pass, 1 of 1 secrets file, 1 changes, 6 stay, 21 events, 0.1 seconds, #1 succeeds</p>",
        "<pre>the the `x`</pre><script>a error</script><template>no a b</template>",
        '<span class="subject">Fix the the `x`</span>',
        "<p>fails <time>for 39 s</time>, seen <time>3 min ago</time></p>",
        "<ul><li>it</li><li>it</li></ul>",
    ],
)
def test_it_leaves_alone_what_is_right(html: str) -> None:
    assert faults(html) == []


def test_every_pattern_has_an_example() -> None:
    assert len(PATTERNS) == 9


def test_texts_of_inline_elements_belong_together() -> None:
    assert blocks_of("<div><p>It fails <b>since</b> <time>now</time></p><p>Next</p></div>") == [
        "It fails since now",
        "Next",
    ]


def test_no_template_says_since_before_an_age() -> None:
    """“since 3 min ago”: templates say `{% lasting … %}`."""
    wrong = [path.name for path in TEMPLATES.rglob("*.html") if "ince {% ago" in path.read_text()]
    assert wrong == []
