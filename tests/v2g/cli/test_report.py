"""``v2g-tool report``: one well-formed page that needs nothing else, whatever the history and the vehicles hold."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from support.sensors import TOP_OIL
from v2g.cli.report import moment_s
from v2g.cli.report import report as command
from v2g.cli.report_data import OTHERS, Summary
from v2g.cli.report_events import Events, Kind
from v2g.cli.report_page import Certificate, Report, page
from v2g.cli.report_plots import Limits
from v2g.cli.report_series import Window
from v2g.telemetry.history import History
from v2g.telemetry.history_rows import EvseMinute, MinuteRow, TripRow
from v2g.telemetry.lines import text_line

FIRST_MIN = 29_927_520
"""2026-11-26 00:00 UTC."""
T0 = FIRST_MIN * 60.0
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"

CONFIG = """
site: {id: s, name: "Maple <Street> & 12", timezone: Europe/Berlin}
transformer: {id: T1, rated_kva: 250}
grid: {nominal_voltage_v: 277}
paths: {log_dir: %s, state_dir: %s}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter: {modbus: {host: 127.0.0.1, port: 502}}
    dc: {modbus: {host: 127.0.0.1, port: 503}}
"""


def minute(number: int, **changes: Any) -> MinuteRow:
    fields: dict[str, Any] = {
        "base_w": 80e3, "load_w": 70e3, "v2g_w": -10e3, "k_pu": 0.3, "ambient_c": 20.0, "top_oil_c": 50.0,
        "hot_spot_c": 60.0 + number % 7, "lo_w": -50e3, "hi_w": 40e3, "ageing_rate": 0.5, "frequency_hz": 50.01,
        "frequency_min_hz": 49.9, "frequency_max_hz": 50.1,
    }  # fmt: skip
    return MinuteRow(unix_min=FIRST_MIN + number, **(fields | changes))


def evse(number: int, evse_id: str = "US*V2G*E1", vehicle: str = "WMIV1", **changes: Any) -> EvseMinute:
    fields: dict[str, Any] = {"power_w": -6e3, "granted_w": -6e3, "soc_pct": 70.0 - number / 60.0} | changes
    return EvseMinute(unix_min=FIRST_MIN + number, evse_id=evse_id, vehicle=vehicle, **fields)


def summary(hours: float = 2.0, *, rows: Any = None, evses: Any = (), trips: Any = ()) -> Summary:
    made = Summary(Window.over(T0, T0 + 3600.0 * hours), UTC)
    made.add_minutes([minute(n) for n in range(1, int(60 * hours) + 1)] if rows is None else rows)
    made.add_evses(evses)
    made.add_trips(trips)
    return made


def made(found: Summary, **changes: Any) -> Report:
    fields: dict[str, Any] = {
        "site": "maple", "transformer": "T1, 250 kVA", "summary": found,
        "limits": Limits(hot_spot_c=120.0, top_oil_c=105.0, rated_va=250e3, k_pu=1.5, nominal_hz=50.0, life_h=180e3),
        "made_at_unix_s": T0 + 7_200.0, "history": "/var/lib/v2g/history.sqlite", "events": Events(),
        "certificates": [], "versions": [("v2g-orchestrator", "0.1.0")],
    }  # fmt: skip
    return Report(**(fields | changes))


def parsed(html: str) -> ElementTree.Element:
    assert html.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314


def words(element: ElementTree.Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def needs_nothing(html: str) -> None:
    """No address anywhere but the names of the two languages; no script, no element that loads."""
    bare = html.replace("http://www.w3.org/1999/xhtml", "").replace("http://www.w3.org/2000/svg", "")
    tags = {element.tag.rpartition("}")[2] for element in parsed(html).iter()}
    assert not tags & {"script", "link", "img", "image", "iframe", "object", "embed", "use", "a", "foreignObject"}
    attributes = {name for element in parsed(html).iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or name.rpartition("}")[2] in {"href", "src"}}
    assert "url(" not in html
    assert "@import" not in html
    assert not re.search(r"<[^>]*(https?:)?//", bare)


def test_a_page_has_plots_with_titles_units_and_words_for_who_does_not_see_them() -> None:
    html = page(made(summary(evses=[evse(n) for n in range(1, 100)])))
    needs_nothing(html)
    plots = parsed(html).findall(f".//{SVG}svg")
    titles = [plot.findtext(f"{SVG}title") for plot in plots]
    assert titles == [
        "Temperatures of the transformer, °C",
        "Load of the transformer, in reverse below 0, kW",
        "Power of all vehicles: charge above 0, discharge below, kW",
        "State of charge by EVSE, %",
        "Frequency of the grid, with its extremes, Hz",
    ]
    for plot in plots:
        assert plot.get("role") == "img"
        ids = {element.get("id") for element in plot.iter()}
        assert set((plot.get("aria-labelledby") or "").split()) <= ids
        assert plot.findtext(f"{SVG}desc")
    assert "hot spot from 60 to 66 °C." in (plots[0].findtext(f"{SVG}desc") or "")
    assert "limit 120" in words(plots[0])
    every_id = [element.get("id") for element in parsed(html).iter() if element.get("id")]
    assert len(every_id) == len(set(every_id))


def test_figures_are_those_of_the_rows() -> None:
    found = summary(
        evses=[
            *(evse(n) for n in range(1, 61)),
            *(evse(n, "US*V2G*E2", "WMIV2", power_w=12e3, soc_pct=None) for n in range(1, 31)),
        ],
        trips=[TripRow(unix_s=T0 + 600.0, element="OV2", value=1.21, unit="pu", phase="b")],
    )
    text = words(parsed(page(made(found))))
    for expected in (
        "highest hot spot 66.0 °C of 120 °C",
        "highest load K = 0.30",
        "insulation aged by 1.00 h in the 2.0 h that were counted, 0.000556 % of its life",
        "charged 6.00 kWh",
        "discharged 6.00 kWh",
        "vehicles 2",
        "trips 1",
        "frequency 49.900 to 50.100 Hz",
        "recorded 120 of 120 minutes (100.0 %)",
        "WMIV1 US*V2G*E1 1 h 0 min 0.00 kWh 6.00 kWh 70 % 69 %",
        "WMIV2 US*V2G*E2 30 min 6.00 kWh 0.00 kWh",
        "2026-11-26 00:10:00 OV2 OV2 on phase b at 1.210 per unit",
        "2026-11-26 66.0 °C 0.30 1.00 h 6.00 kWh 6.00 kWh 1 120",
    ):
        assert expected in text, f"{expected!r} is not in {text}"


def test_gaps_are_shaded_and_counted_and_no_line_crosses_them() -> None:
    rows = [minute(n) for n in range(1, 121) if not 40 < n <= 80]
    html = page(made(summary(rows=rows)))
    assert "recorded 80 of 120 minutes (66.7 %); what is missing is shaded" in words(parsed(html))
    plot = parsed(html).find(f".//{SVG}svg")
    assert plot is not None
    shaded = [r for r in plot.findall(f"{SVG}rect") if r.findtext(f"{SVG}title") == "no record"]
    assert len(shaded) == 1
    begin = float(shaded[0].get("x", "0"))
    end = begin + float(shaded[0].get("width", "0"))
    lines = [path.get("d", "") for path in plot.findall(f"{SVG}path") if path.get("fill") == "none"]
    assert len(lines) == 6
    for line in lines:
        columns = [float(point.split()[0]) for point in line.removeprefix("M").split("L")]
        assert max(columns) <= begin + 0.2 or min(columns) >= end - 0.2


def test_an_empty_time_says_so_and_still_tells_of_events_and_certificates() -> None:
    events = Events(kinds={("comms", "X", "ERROR"): Kind(log="comms", code="SECC_TIMEOUT", level="ERROR", count=3,
                                                         first="2026-11-26T00:01:00.000Z",
                                                         last="2026-11-26T00:02:00.000Z", message="m")})  # fmt: skip
    expired = Certificate(use="strict own", subject="CN=SECC", until_unix_s=T0 - 86_400.0, days_left=-1.0)
    html = page(made(summary(rows=[]), events=events, certificates=[expired]))
    text = words(parsed(html))
    assert "Nothing was recorded in this time. /var/lib/v2g/history.sqlite holds no minute of it" in text
    assert "SECC_TIMEOUT error comms 3 11-26 00:01:00 11-26 00:02:00" in text
    assert "strict own CN=SECC 2026-11-25 EXPIRED" in text
    assert parsed(html).findall(f".//{SVG}svg") == []


HOSTILE = st.text(max_size=40) | st.sampled_from(
    ["</title><script>alert(1)</script>", "\"><img src=x onerror=y>", "]]>", "<!--", "&amp;", "\x00\x1b[2J\u202e",
     "https://evil.example/x", "\ud800", "'\"<>&", "]]&gt;</svg>"]
)  # fmt: skip


@settings(max_examples=examples(100), deadline=None)
@given(text=HOSTILE, other=HOSTILE)
def test_no_text_of_a_vehicle_a_log_or_a_certificate_becomes_markup(text: str, other: str) -> None:
    kind = Kind(
        log="comms",
        code=text,
        level="WARNING",
        count=1,
        first="2026-11-26T00:01:00.000Z",
        last="2026-11-26T00:01:00.000Z",
        message=other,
    )
    found = summary(
        evses=[evse(1, text, other), evse(2, text, other)],
        trips=[TripRow(unix_s=T0 + 60.0, element=text, value=1.0, unit=other, phase=text)],
    )
    html = page(
        made(
            found,
            site=text,
            transformer=other,
            history=text,
            events=Events(kinds={("c", "x", "W"): kind}, starts=[(kind.first, text, other)], problems=[text]),
            certificates=[Certificate(use=text, subject=other, until_unix_s=T0, days_left=3.0)],
            certificate_problems=[other],
            versions=[(text, other)],
            notes=[text],
        )
    )
    needs_nothing(html.encode("utf-8", "replace").decode())


def test_a_month_of_many_vehicles_stays_a_small_page() -> None:
    found = Summary(Window.over(T0, T0 + 30 * 86_400.0), UTC)
    found.add_minutes(minute(n, hot_spot_c=60.0 + n % 50) for n in range(1, 30 * 1440 + 1, 3))
    found.add_evses(
        evse(n, f"US*V2G*E{e}", f"WMI{n // 500}{e}") for n in range(1, 30 * 1440 + 1, 60) for e in range(40)
    )
    html = page(made(found))
    needs_nothing(html)
    assert len(html) < 700_000
    assert "the 8 with most energy of 40" in html
    assert re.search(r"And \d+ more vehicles: charged", html)


def test_more_vehicles_than_can_be_told_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("v2g.cli.report_data.MOST_VEHICLES", 2)
    found = summary(evses=[evse(n, vehicle=f"V{n}") for n in range(1, 11)])
    assert set(found.vehicles) == {"V1", "V2", OTHERS}
    assert found.vehicles[OTHERS].minutes == 8
    assert found.discharged_wh == pytest.approx(1_000.0)


def test_another_vehicle_at_an_evse_breaks_its_soc() -> None:
    found = summary(evses=[*(evse(n) for n in range(1, 31)), *(evse(n, vehicle="WMIV2") for n in range(31, 61))])
    runs = list(found.soc["US*V2G*E1"].runs())
    assert [len(run) for run in runs] == [30, 29]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", T0 - 86_400.0),
        ("7d", T0 - 7 * 86_400.0),
        ("2026-11-25", T0 - 86_400.0),
        ("2026-11-25T18:00", T0 - 6 * 3600.0),
        ("2026-11-25T18:00+01:00", T0 - 7 * 3600.0),
    ],
)
def test_times_are_lengths_or_moments(text: str, expected: float) -> None:
    assert moment_s(text, T0, UTC, "--since") == expected


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory of configuration; history and logs beside it."""
    folder = tmp_path / "etc"
    folder.mkdir()
    logs, state = tmp_path / "log", tmp_path / "state"
    logs.mkdir()
    state.mkdir()
    (folder / "v2g.yaml").write_text(CONFIG % (logs, state))
    (folder / "sensor_map.conf").write_text(TOP_OIL)
    writer = History(state / "history.sqlite", keep_days=400, max_bytes=1 << 26)
    writer.start()
    for number in range(1, 61):
        writer.put_minute(minute(number), (evse(number),))
    writer.put_trip(TripRow(unix_s=T0 + 600.0, element="OF2", value=62.3, unit="Hz"))
    writer.close()
    (logs / "comms.log").write_text(text_line(T0 + 60.0, "error", "SECC_TIMEOUT", "no answer", {}) + "\n")
    return folder


def ask(site: Path, *arguments: Any) -> Result:
    words = ("--config", site, "--since", "2026-11-26", "--until", "2026-11-26T03:00", *arguments)
    return CliRunner().invoke(command, [str(word) for word in words])


def test_the_command_writes_a_page_of_history_logs_and_configuration(site: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    result = ask(site, "--output", output)
    assert result.exit_code == 0, result.output
    assert result.output == f"Report: {output} (60 minutes recorded, 1 trips)\n"
    assert output.stat().st_mode & 0o777 == 0o640
    html = output.read_text(encoding="utf-8")
    needs_nothing(html)
    text = words(parsed(html))
    for expected in (
        "Maple <Street> & 12",
        "Transformer T1, 250 kVA, 2026-11-26 00:00 to 2026-11-26 03:00 (3 h 0 min, times CET)",
        "recorded 60 of 180 minutes",
        "SECC_TIMEOUT error comms 1",
        "2026-11-26 01:10:00 OF2",
        "certificate file",
        "nominal 60",
    ):
        assert expected in text, f"{expected!r} is not in {text}"


def test_a_report_is_made_anew_but_another_file_stays(site: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    assert ask(site, "--output", output).exit_code == 0
    assert ask(site, "--output", output).exit_code == 0
    other = tmp_path / "notes.html"
    other.write_text("my notes")
    refused = ask(site, "--output", other)
    assert refused.exit_code == 1
    assert "is there and is no report" in refused.output
    assert other.read_text() == "my notes"
    assert ask(site, "--output", other, "--force").exit_code == 0
    needs_nothing(other.read_text(encoding="utf-8"))


def test_stdout_gets_nothing_but_the_page(site: Path) -> None:
    result = ask(site, "--output", "-")
    needs_nothing(result.stdout)


def test_a_copy_of_a_history_needs_no_configuration(site: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes((tmp_path / "state" / "history.sqlite").read_bytes())
    output = tmp_path / "r.html"
    result = ask(tmp_path / "none", "--history", copy, "--output", output)
    assert result.exit_code == 0, result.output
    text = words(parsed(output.read_text(encoding="utf-8")))
    assert "There is no configuration here" in text
    assert "Not told: there is no configuration that says where the logs are" in text


@pytest.mark.parametrize(
    ("arguments", "exit_code", "expected"),
    [
        (("--since", "yesterday"), 2, "neither a duration (24h, 7d) nor a time"),
        (("--since", "2026-11-27"), 2, "is not a minute before --until 2026-11-26T03:00"),
        (("--since", "2020-01-01"), 2, "at most 366 days"),
        (("--since", "99999999d"), 2, "at most 366 days"),
        (("--history", "/nonexistent/h.sqlite"), 1, "there is no history yet"),
        (("--output", "/nonexistent/r.html"), 1, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(
    site: Path, tmp_path: Path, arguments: tuple[str, ...], exit_code: int, expected: str
) -> None:
    result = ask(site, "--output", tmp_path / "r.html", *arguments)
    assert result.exit_code == exit_code, result.output
    assert expected in " ".join(result.output.split())
    assert not (tmp_path / "r.html").exists()


def test_a_broken_history_is_named_and_leaves_nothing(site: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "history.sqlite").write_bytes(b"no database" * 500)
    result = ask(site, "--output", tmp_path / "r.html")
    assert result.exit_code == 1
    assert "history.sqlite: is broken" in result.output
    assert not (tmp_path / "r.html").exists()


def test_days_are_those_of_the_site() -> None:
    berlin = datetime(2026, 11, 26, tzinfo=UTC).astimezone().tzinfo
    found = Summary(Window.over(T0, T0 + 86_400.0), berlin)
    found.add_minutes([minute(n) for n in range(1, 1441)])
    assert sum(day.minutes for day in found.days.values()) == 1440
