"""``v2g-tool thermal history``, and that its table can be read back."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.sensors import TOP_OIL
from v2g.cli.calibration_input import Range, read_csv
from v2g.cli.thermal_history import history as command
from v2g.replay.thermal_table import read_table
from v2g.telemetry.history import EvseMinute, History, MinuteRow, TripRow

FIRST_MIN = 29_927_520
"""2026-11-26 00:00 UTC."""

CONFIG = """
site: {id: s, timezone: UTC}
transformer: {id: T1, rated_kva: 250}
grid: {nominal_voltage_v: 277}
evses:
  - id: US*V2G*E1
    interface: lo
    inverter: {modbus: {host: 127.0.0.1, port: 502}}
    dc: {modbus: {host: 127.0.0.1, port: 503}}
"""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.sqlite"
    writer = History(path, keep_days=400, max_bytes=1 << 26)
    writer.start()
    for minute in range(1, 4):
        reverse = minute == 2
        row = MinuteRow(
            unix_min=FIRST_MIN + minute,
            load_w=-50_000.0 if reverse else 80_000.0,
            k_pu=0.2 if reverse else 0.33,
            ambient_read_c=None if minute == 3 else 21.5,
            top_oil_read_c=40.0 + minute,
            top_oil_c=50.0,
            lo_w=-300_000.0,
        )
        evse = EvseMinute(
            unix_min=row.unix_min, evse_id="E1", vehicle="WMIV1", power_w=-4_990.0, granted_w=-5_000.0, soc_pct=72.0
        )
        writer.put_minute(row, (evse,))
    writer.put_trip(TripRow(unix_s=(FIRST_MIN + 2) * 60.0 + 0.25, element="OF2", value=62.3, unit="Hz"))
    writer.close()
    return path


def ask(*arguments: Any) -> Result:
    return CliRunner().invoke(command, [str(word) for word in arguments])


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_row_a_minute_with_what_was_measured(history: Path, tmp_path: Path) -> None:
    answer = ask("--history", history, "--config", tmp_path)
    assert answer.exit_code == 0, answer.output
    first, second, third = rows_of(answer.output)
    assert (first["K"], second["K"]) == ("0.33", "-0.2"), "negative: reverse flow"
    assert (first["top_oil_C"], first["model_top_oil_C"], first["load_kW"]) == ("41", "50", "80")
    assert (third["ambient_C"], first["permitted_lo_kW"], first["permitted_hi_kW"]) == ("", "-300", "")


def test_vehicles_and_trips(history: Path, tmp_path: Path) -> None:
    evses = rows_of(ask("--history", history, "--config", tmp_path, "--of", "evses").output)
    assert len(evses) == 3
    assert (evses[0]["evse"], evses[0]["vehicle"], evses[0]["power_kW"], evses[0]["soc_pct"]) == (
        "E1",
        "WMIV1",
        "-4.99",
        "72",
    )
    (trip,) = rows_of(ask("--history", history, "--config", tmp_path, "--of", "trips").output)
    assert (trip["element"], trip["value"], trip["unit"]) == ("OF2", "62.3", "Hz")
    assert trip["time"].split("T")[1].split("+")[0].endswith(":00.250")


def test_a_replay_and_a_calibration_read_it_back(history: Path, tmp_path: Path) -> None:
    output = tmp_path / "load.csv"
    answer = ask("--history", history, "--config", tmp_path, "--complete", "--output", output)
    assert answer.output == f"2 rows in {output}\n"
    table = read_table(output)
    assert (list(table.k), list(table.ambient_c), list(table.t_min)) == ([0.33, -0.2], [21.5, 21.5], [0.0, 1.0])
    assert not table.naive_time
    minutes = read_csv(output, Range(), None)
    assert minutes.t_s == [(FIRST_MIN + 1) * 60.0, (FIRST_MIN + 2) * 60.0]
    assert minutes.top_oil_c == [41.0, 42.0], "what the transducer said, not the model"


def test_a_day_of_the_site_has_the_minutes_that_end_in_it(history: Path, tmp_path: Path) -> None:
    (tmp_path / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    (tmp_path / "v2g.yaml").write_text(CONFIG)

    def count(*dates: str) -> int:
        answer = ask("--history", history, "--config", tmp_path, *dates)
        assert answer.exit_code == 0, answer.output
        return len(rows_of(answer.output))

    assert count("--since", "2026-11-26", "--until", "2026-11-26") == 3
    assert count("--until", "2026-11-25") == 0
    assert count("--since", "2026-11-27") == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--history", "none.sqlite"), 1, "there is no history yet"),
        (("--since", "2026-11-27", "--until", "2026-11-26"), 2, "--until comes before --since"),
        (("--of", "trips", "--complete"), 2, "--complete is about minutes"),
    ],
)
def test_what_cannot_be_told_is_refused(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    answer = ask("--config", tmp_path, *arguments)
    assert answer.exit_code == code
    assert words in answer.output


def test_without_configuration_or_file_it_says_what_is_missing(tmp_path: Path) -> None:
    answer = ask("--config", tmp_path)
    assert answer.exit_code == 1
    assert "does not exist" in answer.output
    assert not list(tmp_path.iterdir())
