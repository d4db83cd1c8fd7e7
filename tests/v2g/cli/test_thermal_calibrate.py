from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml
from click.testing import CliRunner, Result

from support.sensors import TOP_OIL
from support.thermal_records import record
from v2g.cli.calibration_input import InputError, Range, read_csv
from v2g.cli.thermal_calibrate import calibrate
from v2g.config.loader import load
from v2g.config.thermal import thermal_parameters
from v2g.telemetry.history import History, MinuteRow
from v2g.thermal.calibration import CalibrationData
from v2g.thermal.parameters import from_nameplate

CONFIG = """\
site: {id: s1, timezone: Europe/Berlin}
transformer: {id: TR-1, rated_kva: 250}
grid: {nominal_voltage_v: 277}
relay: {setting_pu: 1.10, delay_s: 12.5, feedback_path: /run/v2g-io/relay}
evses:
  - id: US*V2G*E1
    interface: evse1
    inverter: {modbus: {host: 10.0.0.1}}
    dc: {modbus: {host: 10.0.1.1}}
"""
NAMEPLATE = from_nameplate(
    cooling="DIST_ONAN", rated_kva=250.0, top_oil_rise_k=55.0, hot_spot_gradient_k=23.0, loss_ratio_r=5.0
)
TRUTH = replace(NAMEPLATE, dtheta_or_k=47.3, tau_o_s=8_500.0, x=0.88, dtheta_hr_k=26.0)
BEGIN_S = 1_760_000_040
"""2025-10-09 10:54 in Berlin; eight days later the first of the record's days has been over for long."""


@cache
def days() -> CalibrationData:
    return record(TRUTH, 4, seed=1)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    config = tmp_path / "etc"
    (config / "conf.d").mkdir(parents=True)
    (config / "v2g.yaml").write_text(CONFIG)
    (config / "sensor_map.conf").write_text(TOP_OIL, encoding="utf-8")
    return config


@pytest.fixture
def run(site: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(calibrate, ["--config", str(site), *map(str, words)])


def csv_of(path: Path, head: str = "unix_s,K,ambient_C,top_oil_C", winding: bool = False, scale_k: float = 1.0) -> Path:
    data = days()
    lines = [head + (",winding_c" if winding else "")]
    for row in range(len(data.t_s)):
        values = [scale_k * data.k_pu[row], data.ambient_c[row], data.top_oil_c[row]]
        if winding:
            values.append(data.winding_c[row])
        lines.append(f"{BEGIN_S + int(data.t_s[row])}," + ",".join(f"{value:.3f}" for value in values))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "copy.sqlite"
    writer = History(path, keep_days=400, max_bytes=1 << 26)
    writer.start()
    data = days()
    for row in range(len(data.t_s)):
        writer.put_minute(
            MinuteRow(
                unix_min=BEGIN_S // 60 + row,
                k_pu=float(data.k_pu[row]),
                # What was counted with is not what was measured: only the readings may be fitted.
                ambient_c=40.0,
                ambient_read_c=float(data.ambient_c[row]),
                top_oil_c=99.0,
                top_oil_read_c=None if row % 100 == 7 else float(data.top_oil_c[row]),
                winding_read_c=float(data.winding_c[row]),
            )
        )
    writer.close(20.0)
    return path


def test_a_history_gives_a_proposal_that_changes_nothing(run: Callable[..., Result], site: Path, history: Path) -> None:
    before = thermal_parameters(load(site).config.transformer)
    result = run("--history", history)
    assert result.exit_code == 0, result.output
    assert "top-oil rise Δθor       55.0 K   47." in result.output
    assert "held-out part" in result.output
    accept = f"v2g-tool thermal calibrate --accept --config {site}"
    assert f"accept it with: {accept}\n" in result.output, "to be copied as it stands"
    assert f"# {accept}\n" in (site / "thermal-calibration.proposed.yaml").read_text()
    proposal = site / "thermal-calibration.proposed.yaml"
    values = yaml.safe_load(proposal.read_text())["transformer"]
    assert values["top_oil_rise_k"] == pytest.approx(47.3, abs=0.6)
    assert values["hot_spot_gradient_k"] == pytest.approx(26.0, abs=0.7)
    assert values["constants"]["tau_o_min"] == pytest.approx(8_500 / 60, abs=4.0)
    assert values["constants"]["x"] == pytest.approx(0.88, abs=0.02)
    assert "2025-10-09 10:54 to 2025-10-13 10:5" in proposal.read_text()
    loaded = load(site)
    assert thermal_parameters(loaded.config.transformer) == before
    assert loaded.warnings == ()


def test_accepting_writes_the_drop_in_of_calibrations(run: Callable[..., Result], site: Path, tmp_path: Path) -> None:
    own = site / "conf.d" / "80-calibration.yaml"
    own.write_text("calibration: {phase_offset_deg: [0.5, 0.5, 0.5]}\n")
    assert run("--csv", csv_of(tmp_path / "e.csv")).exit_code == 0
    result = run("--accept")
    assert result.exit_code == 0, result.output
    assert "systemctl restart v2g-orchestrator" in result.output
    config = load(site).config
    params = thermal_parameters(config.transformer)
    assert params.dtheta_or_k == pytest.approx(47.3, abs=0.6)
    assert params.tau_o_s == pytest.approx(8_500, abs=240)
    assert params.dtheta_hr_k == 23.0
    assert config.calibration.phase_offset_deg == (0.5, 0.5, 0.5)
    assert not (site / "thermal-calibration.proposed.yaml").exists()
    again = run("--accept")
    assert (again.exit_code, "there is no proposal" in again.output) == (1, True)
    # What was accepted cannot be bettered by the same data.
    assert "nothing is gained" in run("--csv", tmp_path / "e.csv").output


def test_a_proposal_for_other_settings_is_not_accepted(run: Callable[..., Result], site: Path, tmp_path: Path) -> None:
    run("--csv", csv_of(tmp_path / "e.csv"))
    (site / "v2g.yaml").write_text(CONFIG.replace("rated_kva: 250", "rated_kva: 400"))
    result = run("--accept")
    assert (result.exit_code, "other settings of the transformer" in result.output) == (1, True)
    assert not (site / "conf.d" / "80-calibration.yaml").exists()


def test_a_drop_in_that_would_win_is_named(run: Callable[..., Result], site: Path, tmp_path: Path) -> None:
    (site / "conf.d" / "90-operator.yaml").write_text("transformer: {top_oil_rise_k: 55.0}\n")
    run("--csv", csv_of(tmp_path / "e.csv"))
    result = run("--accept")
    assert result.exit_code == 1
    assert "90-operator.yaml sets transformer.top_oil_rise_k and wins" in result.output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  top_oil_rise_k", "  rated_kva: 900\n  top_oil_rise_k", "nothing that a calibration proposes"),
        ("  top_oil_rise_k: ", "  top_oil_rise_k: 9", "outside 5..120"),
        ("  top_oil_rise_k: ", "  top_oil_rise_k: true #", "as numbers"),
    ],
)
def test_a_proposal_edited_into_nonsense_is_not_accepted(
    run: Callable[..., Result], site: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    run("--csv", csv_of(tmp_path / "e.csv"))
    proposal = site / "thermal-calibration.proposed.yaml"
    proposal.write_text(proposal.read_text().replace(old, new))
    result = run("--accept")
    assert (result.exit_code, words in result.output) == (1, True), result.output
    assert proposal.exists()


def test_json_holds_the_figures_and_where_the_proposal_is(run: Callable[..., Result], tmp_path: Path) -> None:
    output = tmp_path / "mine.yaml"
    result = run("--csv", csv_of(tmp_path / "e.csv", winding=True), "--output", output, "--json", "--days", "3")
    told = json.loads(result.output)
    assert told["proposal"] == str(output)
    assert told["dtheta_or"]["low"] < told["dtheta_or"]["value"] < told["dtheta_or"]["high"]
    assert told["last_s"] - told["first_s"] == pytest.approx(3 * 86_400, abs=120)
    assert told["hot_spot"]["measured"] is True
    assert told["changes"] == {
        "transformer.top_oil_rise_k": round(told["dtheta_or"]["value"], 2),
        "transformer.hot_spot_gradient_k": round(told["hot_spot"]["gradient_k"], 2),
        "transformer.constants.tau_o_min": round(told["tau_o"]["value"], 1),
        "transformer.constants.x": round(told["x"]["value"], 3),
    }
    accepted = json.loads(run("--accept", "--output", output, "--json").output)
    assert accepted["restart_needed"] is True


def test_dates_are_the_sites_days(run: Callable[..., Result], history: Path) -> None:
    result = run("--history", history, "--since", "2025-10-10", "--until", "2025-10-11", "--json")
    told = json.loads(result.output)
    # A minute is told by its end.
    assert datetime.fromtimestamp(told["first_s"], ZoneInfo("Europe/Berlin")).isoformat() == "2025-10-10T00:01:00+02:00"
    assert datetime.fromtimestamp(told["last_s"], ZoneInfo("Europe/Berlin")).isoformat() == "2025-10-12T00:00:00+02:00"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--accept", "--days", "3"), 2, "takes the proposal that waits"),
        (("--history", "a", "--csv", "b"), 2, "from one of them"),
        (("--since", "2025-10-11", "--until", "2025-10-10"), 2, "before --since"),
        (("--since", "yesterday"), 2, "does not match"),
        (("--history", "/nowhere/history.sqlite"), 1, "/nowhere/history.sqlite"),
        (("--csv", "/nowhere.csv"), 1, "/nowhere.csv cannot be read"),
    ],
)
def test_what_cannot_be_done_ends_in_words_and_a_code(
    run: Callable[..., Result], words: tuple[str, ...], code: int, says: str
) -> None:
    result = run(*words)
    assert (result.exit_code, says in result.output) == (code, True), result.output


def test_refused_data_leave_no_proposal(run: Callable[..., Result], site: Path, tmp_path: Path) -> None:
    result = run("--csv", csv_of(tmp_path / "e.csv", scale_k=100.0))
    assert (result.exit_code, "per cent" in result.output) == (1, True)
    assert not (site / "thermal-calibration.proposed.yaml").exists()


def test_a_broken_configuration_is_told_and_an_empty_range_too(
    run: Callable[..., Result], site: Path, history: Path
) -> None:
    empty = run("--history", history, "--since", "2030-01-01")
    assert (empty.exit_code, "holds no minute in that range" in empty.output) == (1, True)
    (site / "v2g.yaml").write_text(CONFIG.replace("250", "-1"))
    broken = run("--history", history)
    assert (broken.exit_code, "rated_kva" in broken.output) == (1, True)


def test_a_place_that_cannot_be_written_is_named(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("--csv", csv_of(tmp_path / "e.csv"), "--output", tmp_path / "absent" / "p.yaml")
    assert (result.exit_code, "absent" in result.output) == (1, True)


def test_without_permission_the_remedy_is_told(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("v2g.host.files.replace_file", refuse)
    result = run("--csv", csv_of(tmp_path / "e.csv"))
    assert result.exit_code == 1
    assert "thermal-calibration.proposed.yaml: Permission denied; run it as root" in result.output


def write(path: Path, times: Iterable[str]) -> Path:
    path.write_text("time,K,ambient_c,top_oil_c\n" + "".join(f"{time},0.5,20,50\n" for time in times))
    return path


BERLIN = ZoneInfo("Europe/Berlin")


def test_the_doubled_hour_is_told_apart_by_its_order(tmp_path: Path) -> None:
    times = [f"2025-10-26T{hour}" for hour in ("01:30", "02:00", "02:30", "02:00", "02:30", "03:00")]
    minutes = read_csv(write(tmp_path / "l.csv", times), Range(), BERLIN)
    first = datetime(2025, 10, 25, 23, 30, tzinfo=UTC).timestamp()
    assert minutes.t_s == [first + 1800 * n for n in range(6)]
    assert minutes.remarks == [
        "4 rows lie in the hour that the end of daylight saving time repeats; which of the two is told from their order"
    ]


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (["2025-10-26T02:30", "2025-10-26T02:30", "2025-10-26T02:30"], "line 4: .* does not come after"),
        (["2026-03-29T01:59", "2026-03-29T02:30"], "line 3: .* does not exist in the site's local time"),
        (["2026-05-01T12:00", "2026-05-01T11:00"], "line 3: .* sort the rows"),
        (["first of May"], "line 2: 'first of May' is no time"),
    ],
)
def test_local_times_that_cannot_be_are_refused(tmp_path: Path, times: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_csv(write(tmp_path / "l.csv", times), Range(), BERLIN)


def test_times_with_their_offset_need_no_zone(tmp_path: Path) -> None:
    times = ["2025-10-26T02:30+02:00", "2025-10-26T02:30+01:00", "2025-10-26T01:31Z"]
    minutes = read_csv(write(tmp_path / "l.csv", times), Range(), BERLIN)
    assert [round(t_s - minutes.t_s[0]) for t_s in minutes.t_s] == [0, 3600, 3660]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: no column for a time, k_pu, ambient_c, top_oil_c"),
        ("unix_s,K,ambient_c\n1,2,3\n", "line 1: no column for top_oil_c"),
        ("unix_s,K,ambient_c,top_oil_c\n1,2,3\n", "line 2: 3 fields, the header has 4"),
        ("unix_s,K,ambient_c,top_oil_c\n1,0.5,warm,50\n", "line 2, ambient_c: 'warm' is not a number"),
        ("unix_s,K,ambient_c,top_oil_c\n,0.5,20,50\n", "line 2: no unix_s"),
        ("unix_s,K,ambient_c,top_oil_c\n", "holds no row"),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_told_by_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "b.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_csv(path, Range(), None)


def test_a_record_without_dates_has_days_but_no_dates(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("t_min,K,ambient_C,top_oil_C\n" + "".join(f"{n},,nan,50\n" for n in range(3000)))
    assert len(read_csv(path, Range(days=1.0), None).t_s) == 1441
    with pytest.raises(InputError, match="has no dates"):
        read_csv(path, Range(since_s=0.0), None)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from v2g.cli.thermal_calibrate import calibrate\n"
        "calibrate.main(['--help'], standalone_mode=False)\n"
        "heavy = {'numpy', 'yaml', 'sqlite3', 'asyncio', 'v2g.config.schema'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
