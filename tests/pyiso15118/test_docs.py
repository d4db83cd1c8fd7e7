"""The package's pages: they are made without a warning, a broken link or a public name that nobody explains."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pyiso15118.capture import Captured, content_of, frames
from pyiso15118.docs import tour
from pyiso15118.docs.session import TURNS, Told, session
from pyiso15118.messages import Namespace
from pyiso15118.v2gtp import Frame, encode_frame

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told() -> list[Told]:
    return session()


def plain(text: str) -> str:
    return f"<p>{text}</p>"


def link(module: str, name: str) -> str:
    return f"{module}#{name}"


def shown(page: str) -> list[str]:
    """Names of the messages on a page, in their order."""
    return re.findall(r"<code>(\w+)</code></a>", page)


def test_the_sessions_messages_are_all_told_once_and_where_they_change(told: list[Told]) -> None:
    page = tour.body(told, plain, link)
    names = [next(iter(content_of(each.frame))) for each in told]
    assert set(shown(page)) == set(names)
    assert shown(page)[:6] == [
        *("SDPRequest", "SDPResponse", "supportedAppProtocolReq", "supportedAppProtocolRes"),
        *("SessionSetupReq", "SessionSetupRes"),
    ]
    assert shown(page).count("DC_ChargeLoopReq") <= 2
    assert f"DC_ChargeLoopReq: {TURNS - 2} more like it" in page
    assert shown(page).count("DC_CableCheckRes") == 2, "Ongoing, then Finished"
    order = [page.index(f">{title}</h2>") for title in ("Discovery", "Cable check", "Power on", "Power off")]
    assert order == sorted(order)
    assert (
        page.index("PowerDeliveryReq</code>") < page.index(">Power off</h2>") < page.rindex("PowerDeliveryReq</code>")
    )
    assert "not in this session" not in page.lower()
    assert 'href="pyiso15118.messages.dc#DC_PreChargeReq"' in page


def test_what_a_page_shows_are_the_bytes_and_words_of_the_session(told: list[Told]) -> None:
    page = tour.body(told, plain, link)
    both = re.findall(r'<p class="bytes"><b>([^<]*)</b> ([^<]*)</p><pre>([^<]*)</pre>', page)
    assert len(both) == len(shown(page)) > 30
    sent = {encode_frame(*each.frame): content_of(each.frame) for each in told}
    for head, rest, words in both:
        (content,) = sent[bytes.fromhex(head + rest)].values()
        assert json.loads(html.unescape(words)) == content


def test_the_session_is_the_same_in_each_build(told: list[Told]) -> None:
    assert session() == told


def test_a_message_without_a_section_and_a_capture_without_messages_are_refused(told: list[Told]) -> None:
    stray = Told(1.0, True, False, Frame(0x9000, b"\0\0"))
    with pytest.raises(tour.TourError, match="no V2GTP message"):
        tour.from_capture([])
    with pytest.MonkeyPatch.context() as patch:
        intro, sections = tour.sections()
        patch.setattr(tour, "sections", lambda: (intro, [each for each in sections if each.title != "Discovery"]))
        with pytest.raises(tour.TourError, match=r"no section for SDPRequest"):
            tour.body([stray, *told[2:]], plain, link)


def test_every_message_of_ac_and_dc_has_a_section() -> None:
    from pyiso15118.exi.schema import find

    named = {name.partition(":")[0] for section in tour.sections()[1] for name in section.names}
    messages = {
        name
        for namespace in (Namespace.APP_PROTOCOL, Namespace.COMMON_MESSAGES, Namespace.AC, Namespace.DC)
        for name in find(namespace).elements
        if name.endswith(("Req", "Res"))
    }
    # Neither side of this package checks vehicles in or out.
    assert messages - named == {"VehicleCheckInReq", "VehicleCheckInRes", "VehicleCheckOutReq", "VehicleCheckOutRes"}
    assert named - messages == {"SDPRequest", "SDPResponse"}


@pytest.mark.parametrize("name", ["ISO-20_BPT_AC_DS5366_Josev", "ISO-20_TLS13_DC_DS5366_Josev"])
def test_a_real_capture_makes_a_page_too(shared_data: Path, name: str) -> None:
    file = shared_data / "iso15118" / "captures" / f"{name}.pcapng"
    found = [each for each in frames([file.read_bytes()]) if isinstance(each, Captured)]
    recorded = tour.from_capture(found)
    page = tour.body(recorded, plain, link)
    assert set(shown(page)) == {next(iter(content_of(each.frame))) for each in recorded}
    assert ("Not in this session" in page) == ("AC" in name)
    assert ("within TLS" in page) == ("TLS" in name)


# ---- the pages -------------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_the_pages_are_made_by_one_command_and_nothing_is_wrong_with_them(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pdoc is not installed (extra: docs)")
    captures = sorted((ROOT.parent / "shared/data/iso15118/captures").glob("*.pcapng"))
    words = [word for capture in captures for word in ("--capture", str(capture))]
    command = [sys.executable, "-W", "error::UserWarning", "-m", "pyiso15118.docs.build", "--output", tmp_path / "site"]
    done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.html")}
    assert {
        "index.html",
        "tour.html",
        "pyiso15118.html",
        "pyiso15118/secc.html",
        "pyiso15118/messages/dc.html",
    } <= pages
    assert {f"capture-{number}.html" for number, _ in enumerate(captures, 1)} <= pages
    assert not any("docs" in page for page in pages)
    secc = (tmp_path / "site/pyiso15118/secc.html").read_text()
    assert 'id="SeccMachine.receive_data"' in secc
    assert "tour.html" in secc
    commands = (tmp_path / "site/pyiso15118/commands.html").read_text()
    assert 'id="_EvseState.fault"' in commands, "what public classes inherit is told"
    again = subprocess.run([*command[:-1], tmp_path], capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert "is not empty and holds no such pages" in again.stderr


@pytest.fixture
def builder() -> ModuleType:
    pytest.importorskip("pdoc", reason="pdoc is not installed (extra: docs)")
    from pyiso15118.docs import build

    return build


@pytest.fixture
def unexplained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with gaps."""
    (tmp_path / "gappy_docs.py").write_text(
        '"""Explained."""\n'
        "class Known:\n"
        '    """So is this."""\n'
        "    def quiet(self) -> None: ...\n"
        "    @property\n"
        "    def size(self) -> int: ...\n"
        "    def _own(self) -> None: ...\n"
        "class Unknown: ...\n"
        "def said() -> None:\n"
        '    """Yes."""\n'
        "def unsaid() -> None: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "gappy_docs"
    sys.modules.pop("gappy_docs", None)


def test_names_without_a_docstring_are_found(builder: ModuleType, unexplained: str) -> None:
    assert set(builder.undocumented([unexplained])) == {
        f"gappy_docs.{name}" for name in ("Known.quiet", "Known.size", "Unknown", "unsaid")
    }


def test_links_that_lead_nowhere_are_found(builder: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.html").write_text('<a href="../a.html#here">a</a><a href="#lost">x</a><img src="no.png">')
    (tmp_path / "a.html").write_text('<p id="here"><a href="sub/b.html">b</a><a href="https://example.org/c">c</a>')
    assert builder.broken_links(tmp_path) == [
        "sub/b.html: the link #lost leads nowhere",
        "sub/b.html: the link no.png leads nowhere",
    ]
