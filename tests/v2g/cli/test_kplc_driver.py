"""The command ``kplc-driver``: what it says without a service manager."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from v2g.cli import kplc_driver
from v2g.telemetry import logs


def run(*words: str) -> Result:
    return CliRunner().invoke(kplc_driver.cli, words)


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    yield
    logs.close()


def site(folder: Path, plc: dict[str, Any] | None, **sections: Any) -> str:
    main = two_evses(paths={name: str(folder / name) for name in ("run_dir", "state_dir", "log_dir")}, **sections)
    if plc is not None:
        main["evses"][0]["plc"] = plc
    write_config(folder / "etc", main)
    return str(folder / "etc")


def test_its_help_names_the_reset_and_the_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == 0
    for word in ("--config", "--check", "systemctl restart kplc-driver", "v2g-tool plc --watch", "Exit codes: 0"):
        assert word in result.output


def test_without_a_powerline_link_there_is_nothing_to_do_and_that_is_no_failure(tmp_path: Path) -> None:
    for words in ((), ("--check",)):
        folder = tmp_path / str(len(words))
        result = run(*words, "--config", site(folder, None))
        assert result.exit_code == 0
        assert "no EVSE of the configuration has a powerline link (evses[].plc)" in result.output + result.stderr


def test_a_check_opens_each_port_and_says_whose_it_is(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "line"))
        result = run("--check", "--config", site(tmp_path / "s", {"port": f"unix:{tmp_path / 'line'}"}))
    assert result.exit_code == 0
    assert f"US*V2G*E1: unix:{tmp_path / 'line'} can be used, address 02:" in result.output
    assert "the firewall has no set" in result.output
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("line.")] == []


def test_a_check_names_the_port_that_cannot_be_used(tmp_path: Path) -> None:
    result = run("--check", "--config", site(tmp_path / "s", {"port": f"unix:{tmp_path / 'line'}"}))
    assert result.exit_code == 1
    assert (
        f"US*V2G*E1: {tmp_path / 'line'}: No such file or directory; does the simulated powerline run?" in result.output
    )


def test_a_check_names_an_interface_that_is_not_there(tmp_path: Path) -> None:
    result = run(
        "--check", "--config", site(tmp_path / "s", {}, firewall={"plc_interfaces": ["evse1"], "local_only": True})
    )
    assert result.exit_code == 1
    assert "US*V2G*E1: " in result.output
    assert "there is no interface evse1" in result.output or "CAP_NET_RAW" in result.output


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_a_configuration_with_a_problem_ends_with_two_and_names_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(*words, "--config", site(tmp_path / "s", {"calibration_db": "much"}))
    assert result.exit_code == 2
    assert "calibration_db" in result.output + result.stderr


def test_a_run_directory_that_is_missing_is_named_and_the_port_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "line"))
        line.setblocking(False)
        result = run("--config", site(tmp_path / "s", {"port": f"unix:{tmp_path / 'line'}"}))
        assert result.exit_code == 1
        assert "the run directory must exist" in result.output + result.stderr
        with pytest.raises(BlockingIOError):
            line.recv(100)
