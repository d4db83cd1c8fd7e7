from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from v2g.cli.replay import replay
from v2g.cli.replay_thermal import _progress
from v2g.replay.thermal_result import COLUMNS

PLATE = "mode: DIST_ONAN\ndor_K: 55\ndhr_K: 23\nR: 5\nS_rated_kVA: 400\n"


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(replay, ["thermal", *map(str, words)])


def words_of(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture
def load(tmp_path: Path) -> Path:
    path = tmp_path / "load.csv"
    rows = "".join(f"{n},{20 + n % 3},{150 + 5 * (n % 4)},40\n" for n in range(30))
    path.write_text("t_min,ambient_C,P_kW,Q_kvar\n" + rows)
    return path


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    path = tmp_path / "tr.yaml"
    path.write_text(PLATE)
    return path


def test_the_result_goes_to_stdout_and_the_summary_aside(load: Path, plate: Path) -> None:
    done = run(load, "--transformer", plate)
    assert done.exit_code == 0, done.stderr
    read = list(csv.DictReader(done.stdout.splitlines()))
    assert tuple(read[0]) == COLUMNS
    assert len(read) == 30
    assert float(read[0]["P_lo_kW"]) < 0.0 < float(read[0]["P_hi_kW"])
    assert "load.csv: 30 rows, 0 to 29 min" in done.stderr
    assert "charge     permitted at every time" in done.stderr
    assert "headroom knows the file's next 15 min" in done.stderr


def test_output_and_picture_are_written_and_the_summary_is_on_stdout(load: Path, plate: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.csv", tmp_path / "out.png"
    done = run(load, "--transformer", plate, "--output", out, "--plot", picture)
    assert done.exit_code == 0, done.stderr
    assert out.read_text().count("\n") == 31
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "hot-spot   up to" in done.stdout
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["load.csv", "out.csv", "out.png", "tr.yaml"]


def test_the_reference_profile_goes_in_and_comes_out(shared_data: Path) -> None:
    path = shared_data / "thermal" / "dynamic_dist_400kVA.csv"
    done = run(path, "--transformer", path.with_suffix(".json"), "--no-headroom")
    assert done.exit_code == 0, done.stderr
    with path.open(newline="") as file:
        for ours, reference in zip(csv.DictReader(done.stdout.splitlines()), csv.DictReader(file), strict=True):
            assert float(ours["hot_spot_C"]) == pytest.approx(float(reference["hot_spot_C"]), abs=1e-3)
            assert float(ours["L_min_upgraded"]) == pytest.approx(
                float(reference["L_min_upgraded"]), rel=1e-4, abs=1e-6
            )
            assert ours["P_lo_kW"] == ours["P_hi_kW"] == ""


def test_the_summary_for_machines(load: Path, plate: Path) -> None:
    done = run(load, "--transformer", plate, "--json", "--ahead", "persistence")
    said = json.loads(done.stdout)
    assert said["rows"] == 30
    assert said["K"]["limit"] == 1.5
    assert said["least_charge"]["binding"].startswith("thermal")
    assert any("to stay for 15 min" in remark for remark in said["remarks"])


def test_without_a_rated_power_k_is_replayed_and_powers_stay_empty(tmp_path: Path, plate: Path) -> None:
    plate.write_text(PLATE.replace("S_rated_kVA: 400\n", ""))
    load = tmp_path / "k.csv"
    load.write_text("t_min,ambient_C,K\n0,20,0.5\n5,20,-0.9\n")
    done = run(load, "--transformer", plate)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[2].endswith(",,")
    assert "P_lo_kW and P_hi_kW stay empty" in done.stderr


def test_what_is_doubtful_is_said_beside_the_result(tmp_path: Path, plate: Path) -> None:
    load = tmp_path / "k.csv"
    load.write_text("t_min,ambient_C,K\n0,5,0.5\n1,45,0.5\n300,45,0.5\n301,45,0.5\n")
    done = run(load, "--transformer", plate)
    assert done.exit_code == 0
    assert "! line 3: ambient goes from 5 to 45 °C" in done.stderr
    assert "! line 4: nothing for 4.98 h before it" in done.stderr
    assert "hot_ambient_losses: false takes the bare equations" in done.stderr


@pytest.mark.parametrize("option", ["--output", "--plot"])
@pytest.mark.parametrize("name", ["load.csv", "tr.yaml", "link.csv"])
def test_an_input_is_never_overwritten(load: Path, plate: Path, tmp_path: Path, option: str, name: str) -> None:
    (tmp_path / "link.csv").symlink_to(load)
    before = load.read_text(), plate.read_text()
    done = run(load, "--transformer", plate, option, tmp_path / name)
    assert done.exit_code == 2
    assert "would overwrite it; name another file" in words_of(done)
    assert (load.read_text(), plate.read_text()) == before


def test_output_and_picture_are_two_files(load: Path, plate: Path, tmp_path: Path) -> None:
    done = run(load, "--transformer", plate, "--output", tmp_path / "a", "--plot", tmp_path / "a")
    assert done.exit_code == 2
    assert "is --output too" in words_of(done)


def test_wrong_use_is_two(load: Path, plate: Path, tmp_path: Path) -> None:
    assert run(load).exit_code == 2
    assert run(load, "--transformer", plate, "--ahead", "oracle").exit_code == 2
    assert run(load, "--transformer", plate, "--output", tmp_path).exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "check the path"),
        ("t_min,ambient_C,K\n0,20,0.5\n1,,0.5\n", "line 3, ambient_C: '' is empty; fill it in"),
        ("t_min,ambient_C,K\n0,20,0.5\n0,20,0.5\n", "line 3, t_min: '0' is there twice"),
        ("t_min,ambient_C,K\n0,20,0.5\n600,20,9\n", "line 3, K: 9: the hot-spot would be"),
        ("t_min,ambient_C,K\n0,20,50\n", "line 2, K: 50: no transformer carries that"),
    ],
)
def test_bad_data_is_one_and_leaves_no_output(tmp_path: Path, plate: Path, text: str | None, said: str) -> None:
    load, out = tmp_path / "bad.csv", tmp_path / "out.csv"
    if text is not None:
        load.write_text(text)
    done = run(load, "--transformer", plate, "--output", out, "--plot", tmp_path / "out.png")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"v2g-tool replay thermal: {load}")
    assert said in done.stderr
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["none/out.csv", "n" * 300])
def test_an_output_that_cannot_be_written_is_one(load: Path, plate: Path, tmp_path: Path, name: str) -> None:
    done = run(load, "--transformer", plate, "--output", tmp_path / name)
    assert done.exit_code == 1
    assert "name a file in a directory that can be written" in done.stderr


def test_a_device_is_written_to_and_not_replaced(load: Path, plate: Path) -> None:
    done = run(load, "--transformer", plate, "--output", "/dev/null")
    assert done.exit_code == 0, done.stderr
    assert Path("/dev/null").is_char_device()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    assert len(list(_progress(range(12_000), 12_000))) == 12_000  # type: ignore[arg-type]
    assert " 83 %" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K"), "the line is gone when it is done"
    monkeypatch.setattr(sys, "stderr", aside := io.StringIO())
    assert len(list(_progress(range(12_000), 12_000))) == 12_000  # type: ignore[arg-type]
    assert aside.getvalue() == ""


def test_a_bad_transformer_file_is_one(load: Path, plate: Path) -> None:
    plate.write_text(PLATE + "colour: green\n")
    done = run(load, "--transformer", plate)
    assert done.exit_code == 1
    assert f"{plate}:6: colour: 'green': is no known key" in done.stderr
    assert done.stdout == ""


def test_a_picture_that_cannot_be_written_takes_the_output_with_it(load: Path, plate: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run(load, "--transformer", plate, "--output", out, "--plot", tmp_path / "out.what")
    assert done.exit_code == 1
    assert "name a .png" in done.stderr
    assert not out.exists()


def test_a_reader_that_goes_away_is_no_failure_in_words(tmp_path: Path, plate: Path) -> None:
    load = tmp_path / "long.csv"
    load.write_text("t_min,ambient_C,K\n" + "".join(f"{n},20,0.5\n" for n in range(20_000)))
    command = [sys.executable, "-m", "v2g.cli.tool", "replay", "thermal", str(load), "--transformer", str(plate)]
    with subprocess.Popen([*command, "--no-headroom"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"t_min,")
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(30) == 141
    assert said == b""


def test_help_starts_light_and_tells_the_transformer_file() -> None:
    code = (
        "import sys\nfrom v2g.cli.replay import replay\n"
        "try: replay(['thermal', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'matplotlib', 'msgspec', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert "S_rated_kVA: 400" in done.stdout
