from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from v2g.cli.replay import replay


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(replay, ["grid", *map(str, words)])


def case_row(name: str, segments: list[dict], expect: str, settings: str = '{"profile": "default_III"}') -> str:
    quoted = [text.replace('"', '""') for text in (settings, json.dumps(segments))]
    return f'{name},volt_trip,III,60,"{quoted[0]}","{quoted[1]}",1,{expect},OV2,0,0.16\n'


HEALTHY = {"d": 0.5, "v": [1, 1, 1], "f": 60.0}
HIGH = {"d": 0.5, "v": [1.3, 1, 1], "f": 60.0}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.csv"
    path.write_text(
        "id,family,category,nominal_hz,settings,stimulus,ref_segment,expect,element,tmin_s,tmax_s\n"
        + case_row("A", [HEALTHY, HIGH], "TRIP")
        + case_row("B", [HEALTHY, HEALTHY], "TRIP")
        + case_row("C", [HEALTHY, HEALTHY], "CLOSE", '{"sync": {"kva": 100}, "der": {"dtheta_deg": 90}}')
    )
    return path


def samples(path: Path, hz: float, volts: list[float]) -> Path:
    rate_hz, lines = 4000, ["t_s,va_pu,vb_pu,vc_pu"]
    at = 0
    for v in volts:
        for _ in range(2000):
            wave = v * np.sin(2 * np.pi * hz * at / rate_hz + np.array([0, -2, 2]) * np.pi / 3)
            lines.append(f"{at / rate_hz:.6f}," + ",".join(f"{value:.6f}" for value in wave))
            at += 1
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_case_file_gives_one_line_a_case_and_a_summary_aside(cases: Path) -> None:
    done = run(cases)
    assert done.exit_code == 0
    first, second, third = (json.loads(line) for line in done.stdout.splitlines())
    assert list(first) == ["id", "tripped", "element", "t_s"]
    assert (first["id"], first["tripped"], first["element"]) == ("A", True, "OV2")
    assert 0.1 < first["t_s"] <= 0.16
    assert second == {"id": "B", "tripped": False, "element": "", "t_s": None}
    assert third == {"id": "C", "tripped": False, "closed": False, "element": "", "t_s": None}
    assert "3 cases, 1 as expected" in done.stderr
    assert "B (volt_trip): did not trip, expected is TRIP" in done.stderr


def test_single_cases_are_chosen_and_drawn(cases: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    done = run(cases, "--case", "A", "--plot", picture)
    assert done.exit_code == 0
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["A"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "1 case, 1 as expected" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--settings", "ieee1547-II"], "brings its own settings"),
        (["--voltage-only"], "brings its own settings"),
        (["--case", "Z"], "has no such case"),
        (["--plot", "x.png"], "choose it with --case"),
        (["--channels", "a,b"], "three channels"),
        (["--opening-time", "5"], "5 s is outside 0..1 s"),
    ],
)
def test_what_a_case_file_does_not_go_with_is_a_wrong_use(cases: Path, words: list[str], said: str) -> None:
    done = run(cases, *words)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_a_record_is_told_in_words_with_what_was_assumed(tmp_path: Path) -> None:
    path = samples(tmp_path / "event.csv", 60.0, [1.0, 1.3])
    picture = tmp_path / "out.png"
    done = run(path, "--plot", picture)
    assert done.exit_code == 0
    assert "event.csv: 1 s at 4000 samples a second, by ieee1547-III" in done.stdout
    assert "  - samples are per unit of the nominal peak" in done.stdout
    assert "its first three cycles only fill the estimator" in done.stdout
    assert "TRIP OV2: voltage of phase" in done.stdout
    assert "the contact parts at 0.6" in done.stdout.splitlines()[-2]
    assert picture.exists()


def test_the_same_for_machines(tmp_path: Path) -> None:
    done = run(samples(tmp_path / "event.csv", 60.0, [1.0, 1.3]), "--settings", "ieee1547-II", "--json")
    said = json.loads(done.stdout)
    assert (said["settings"], said["tripped"], said["element"]) == ("ieee1547-II", True, "OV2")
    assert said["opened_s"] == pytest.approx(said["commanded_s"] + 0.05)
    assert any(note.startswith("TRIP OV2") for change in said["changes"] for note in change["notes"])


def test_at_50_hz_a_profile_must_be_named(tmp_path: Path) -> None:
    path = samples(tmp_path / "event.csv", 50.0, [1.0, 0.3])
    done = run(path)
    assert done.exit_code == 2
    assert "no profile is the default: name one with --settings" in " ".join(done.stderr.split())
    named = run(path, "--settings", "vde-ar-n-4105")
    assert named.exit_code == 0
    assert "TRIP U<<" in named.stdout
    assert "is not verified against VDE-AR-N 4105" in named.stdout


def test_a_profile_of_another_frequency_gives_its_voltage_elements_by_name_only(tmp_path: Path) -> None:
    path = samples(tmp_path / "event.csv", 50.0, [1.0, 0.3])
    refused = run(path, "--settings", "ieee1547-II")
    assert refused.exit_code == 2
    assert "--voltage-only" in refused.stderr
    done = run(path, "--settings", "ieee1547-II", "--voltage-only")
    assert done.exit_code == 0
    assert "only the voltage elements of ieee1547-II judge, at 50 Hz" in done.stdout
    assert "TRIP UV2" in done.stdout


def test_an_unknown_profile_names_the_known(tmp_path: Path) -> None:
    done = run(samples(tmp_path / "event.csv", 60.0, [1.0]), "--settings", "ieee1547")
    assert done.exit_code == 2
    assert "known are ieee1547-I, ieee1547-II" in " ".join(done.stderr.split())


def test_a_part_of_a_record_can_be_chosen(tmp_path: Path) -> None:
    path = samples(tmp_path / "event.csv", 60.0, [1.0, 1.0, 1.3])
    assert "No trip" in run(path, "--to", "0.9").stdout
    assert "the contact parts at 1.1" in run(path, "--from", "0.5").stdout
    assert run(path, "--from", "7").exit_code == 1


@pytest.mark.parametrize(("name", "content"), [("none.csv", None), ("x.csv", "a,b\n1,2\n"), ("x.cfg", "what")])
def test_a_file_that_cannot_be_replayed_ends_with_one(tmp_path: Path, name: str, content: str | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    done = run(path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"v2g-tool replay grid: {path}")
    assert done.stdout == ""


def test_a_broken_case_file_names_the_line(cases: Path) -> None:
    cases.write_text(cases.read_text() + "D,volt_trip\n")
    done = run(cases)
    assert done.exit_code == 1
    assert "line 5: the number of fields differs" in done.stderr


def test_only_a_case_file_has_cases(tmp_path: Path) -> None:
    done = run(samples(tmp_path / "event.csv", 60.0, [1.0]), "--case", "A")
    assert done.exit_code == 2
    assert "chooses from a case file" in " ".join(done.stderr.split())


def test_help_starts_light() -> None:
    code = (
        "import sys\nfrom v2g.cli.replay import replay\n"
        "try: replay(['grid', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'comtrade', 'matplotlib', 'pandas', 'msgspec'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
