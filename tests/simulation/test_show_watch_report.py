"""The live view and the report of a simulated site: screens as captured, a page as a browser shows it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from support.terminal import Terminal

pytestmark = pytest.mark.soak

BIN = Path(sys.executable).parent
REPORT = Path(__file__).resolve().parents[1] / "bench" / "report_watch.md"
PAGE = REPORT.with_name("report_page.png")
KEEP = "V2G_WATCH_REPORT"
SPEED = 300.0
"""A minute of the transformer in 0.2 s: some hours of history in one of ours."""
MOST_PNG_BYTES = 200_000
SIZES = ((80, 24), (160, 50), (40, 15))
_screens: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def kept() -> Iterator[None]:
    yield
    if os.environ.get(KEEP) == "1" and _screens:
        parts = [f"## {title}\n\n```\n{screen}\n```" for title, screen in _screens.items()]
        head = (
            "# The live view, captured\n\n"
            f"Written by `{KEEP}=1 pytest -m soak tests/simulation/test_show_watch_report.py`: "
            f"`v2g-tool watch --once` of a simulation of two vehicles, whose transformer's time runs {SPEED:g} times "
            "as fast. The report page of the same run is report_page.png.\n\n"
        )
        REPORT.write_text(head + "\n\n".join(parts) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def site(simulate: Any) -> Any:
    options = ("--ambient", "30", "--top-oil", "70", "--base-load", "150kW", "--thermal-speed", f"{SPEED:g}")
    running = simulate("--vehicles", "2", *options)
    running.wait_for("all vehicles in the charge loop", running.charge_loops, 60.0)
    return running


def once(site: Any, width: int, height: int) -> str:
    answer = site.command("v2g-tool", "watch", "--once", "--width", str(width), "--height", str(height))
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert "\x1b" not in answer.stdout
    return str(answer.stdout)


def test_screens_show_what_the_site_does(site: Any) -> None:
    site.dispatch("20kW", "charge")
    site.wait_for("20 kW", lambda: site.steady(20_000.0), 30.0)
    time.sleep(4.0)
    site.dispatch("14kW")
    site.wait_for("-14 kW", lambda: site.steady(-14_000.0), 30.0)
    time.sleep(3.0)
    for width, height in SIZES:
        screen = once(site, width, height)
        _screens[f"{width} x {height}, discharging"] = screen.rstrip()
        for expected in ("Simulated site · ready", "energy may flow", "US*V2G*E1", "dis", "ALARMS"):
            assert expected in screen
    narrow = _screens["80 x 24, discharging"]
    assert "now discharge 14." in narrow or "now discharge 13." in narrow
    assert "discharge 14.00 kW at all" in narrow
    assert sum(0x2800 < ord(char) < 0x2900 for char in narrow) > 60, "no curve of past and forecast"
    assert narrow.count("SIMEV000000") == 2


def test_a_live_screen_tells_of_a_lost_daemon_finds_it_again_and_leaves_the_terminal_clean(site: Any) -> None:
    environment = {**os.environ, "V2G_SOCKET": str(site.run_dir / "control.sock")}
    terminal = Terminal([BIN / "v2g-tool", "watch"], environment, 80, 24)
    try:
        terminal.wait_for("q quits", 10.0)
        terminal.resize(160, 50)
        terminal.wait_for("DEVICES", 5.0)
        os.kill(site.pids()["orchestrator"], signal.SIGKILL)
        terminal.wait_for("NO ANSWER for", 10.0)
        terminal.resize(80, 24)
        site.wait_for("the daemon answers again", lambda: site.status().get("ready"), 30.0)
        terminal.wait_until("a whole screen without the banner", is_whole_and_calm, 15.0)
        terminal.press(b"q")
        assert terminal.end(5.0) == 0
        assert terminal.text.count("\x1b[?1049h") == terminal.text.count("\x1b[?1049l") == 1
    finally:
        terminal.close()


def is_whole_and_calm(screen: str) -> bool:
    return "q quits" in screen and "NO ANSWER" not in screen


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_brings_the_view_back(site: Any) -> None:
    environment = {**os.environ, "V2G_SOCKET": str(site.run_dir / "control.sock")}
    terminal = Terminal([BIN / "v2g-tool", "watch"], environment, 80, 24)
    try:
        terminal.wait_for("q quits", 10.0)
        # Without a shell that would bring it back it is not stopped: it gives way, and comes back by itself.
        os.kill(terminal.process.pid, signal.SIGTSTP)
        terminal.wait_until("left", lambda _: terminal.text.count("\x1b[?1049l") == 1, 5.0)
        terminal.wait_until("back again", lambda _: terminal.text.count("\x1b[?1049h") == 2, 5.0)
        terminal.press(b"\x03")
        assert terminal.end(5.0) == 0
    finally:
        terminal.close()


def test_a_trip_is_on_the_screen_with_what_to_do(site: Any) -> None:
    site.fault("frequency", hz=62.5)
    site.wait_for("the breaker is open", lambda: not site.measure().breaker.closed, 5.0)
    screen = site.wait_for("the trip is shown", lambda: tripped(once(site, 80, 24)), 5.0)
    _screens["80 x 24, tripped"] = screen.rstrip()
    assert "v2g-control trip reset" in " ".join(screen.split())
    site.clear()


def tripped(screen: str) -> str:
    return screen if "TRIPPED by OF2" in screen else ""


def test_the_report_tells_of_all_that(site: Any) -> None:
    time.sleep(1.0)
    output = site.folder / "report.html"
    since, until = span_of_history(site)
    answer = site.command(
        "v2g-tool", "report", "--config", str(site.run_dir / "etc"), "--since", since.isoformat(),
        "--until", until.isoformat(), "--output", str(output),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    html = output.read_text(encoding="utf-8")
    page = ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314
    text = " ".join(" ".join(page.itertext()).split())
    for expected in ("Simulated site", "highest hot spot", "SIMEV0000001", "OF2", "TRIP error", "READY", "days left"):
        assert expected in text, f"{expected!r} is not in {text[:4000]}"
    assert len(page.findall(".//{http://www.w3.org/2000/svg}svg")) == 5
    assert "discharged 0.00 kWh" not in text
    if os.environ.get(KEEP) == "1":
        keep_picture(output)


def span_of_history(site: Any) -> tuple[datetime, datetime]:
    """The transformer's clock runs ahead of the logs': from the simulation's start to the end of the record."""
    answer = site.command("v2g-tool", "thermal", "history", "--config", str(site.run_dir / "etc"))
    last = datetime.fromisoformat(answer.stdout.splitlines()[-1].split(",")[0])
    return datetime.fromisoformat(site.log("daemon.log").split()[0]), last + timedelta(minutes=1)


def keep_picture(html: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium to draw the page with: apt-get install chromium")
    from PIL import Image

    drawn = html.with_suffix(".png")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={drawn}",
         "--window-size=1000,3300", html.as_uri()],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    # Thin lines keep their colours.
    image = Image.open(drawn).convert("RGB").quantize(96, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    with contextlib.suppress(FileNotFoundError):
        PAGE.unlink()
    image.save(PAGE, optimize=True)
    assert PAGE.stat().st_size < MOST_PNG_BYTES
