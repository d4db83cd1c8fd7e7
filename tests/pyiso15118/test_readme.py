"""The charging station and the vehicle that README.md shows charge with each other, as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.soak
def test_the_readmes_station_and_vehicle_charge_and_stop(tmp_path: Path) -> None:
    program = tmp_path / "readme.py"
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    program.write_text("\n".join(blocks), encoding="utf-8")
    run = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.match(r"SESSION_STOPPED after \d\d turns", run.stdout)
