"""``v2g-tool audit``: a check for people and for scripts, and a look into the log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.config_dir import two_evses, write_config
from v2g.cli.audit import audit
from v2g.clock import ManualClock
from v2g.config.schema import Roles
from v2g.control import messages
from v2g.control.server import ControlServer, Method, Refused, Role
from v2g.telemetry import logs


class Place:
    """A configuration directory, a state directory and a log that was written by the daemon's own means."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.key, self.head = (
            folder / "log/audit.log",
            folder / "state/audit.key",
            folder / "state/audit.head",
        )
        (folder / "state").mkdir()
        paths = {"run_dir": str(folder), "log_dir": str(folder / "log"), "state_dir": str(folder / "state")}
        write_config(folder / "etc", two_evses(paths=paths))
        clock = ManualClock(unix_s=1767323045.678)
        logs.configure(folder / "log", stderr=False, clock=clock)
        logs.chain_audit(folder / "state", lambda count: bytes(count))
        audit_log = logs.audit_log()
        audit_log.info("START", "v2g-orchestrator", version="1")
        for user, method, result in [
            ("alice", "dispatch", '{"granted_w":-10000.0}'),
            ("bob", "status", "ok"),
            ("alice", "sensors.reload", '{"changed":true}'),
            ("bob smith", "dispatch", "{}"),
        ]:
            clock.advance(3600.0)
            params = '{"mode":"discharge"}'
            audit_log.info(
                "CALL", uid=1000, user=user, pid=1, role="operator", method=method, params=params, result=result
            )
        logs.close()

    def run(self, *words: str, **environment: str) -> Result:
        return CliRunner().invoke(audit, [*words], env=environment)

    def verify(self, *words: str) -> Result:
        return self.run("verify", "--config", str(self.folder / "etc"), *words)

    def show(self, *words: str) -> list[str]:
        result = self.run("show", "--config", str(self.folder / "etc"), *words)
        assert result.exit_code == 0, result.output
        return result.output.splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_an_intact_log_is_said_with_its_head(place: Place) -> None:
    result = place.verify()
    assert result.exit_code == 0
    first, last = result.output.splitlines()
    assert first == ("intact: 6 lines in 1 file, seq 1 (2026-01-02T03:04:05.678Z) to seq 6 (2026-01-02T07:04:05.678Z)")
    assert last.startswith("head 6:")


def test_a_changed_log_is_named_by_file_line_and_seq_and_the_exit_code_tells(place: Place) -> None:
    place.log.write_text(place.log.read_text().replace("-10000.0", "-90000.0"))
    result = place.verify()
    assert result.exit_code == 1
    assert result.output.splitlines()[:2] == [
        "BROKEN: 1 finding in 1 file; 5 lines fit, seq 1 (2026-01-02T03:04:05.678Z) to seq 6 "
        "(2026-01-02T07:04:05.678Z)",
        f"  {place.log}:3: seq 3 altered: its text was altered",
    ]


def test_json_is_for_scripts(place: Place) -> None:
    answer = json.loads(place.verify("--json").output)
    assert (answer["intact"], answer["lines"], answer["broken"], answer["last_seq"]) == (True, 6, 0, 6)
    place.log.write_text("".join(place.log.read_text().splitlines(keepends=True)[:4]))
    result = place.verify("--json")
    assert result.exit_code == 1
    assert json.loads(result.output)["findings"][0]["kind"] == "truncated"


def test_a_head_that_was_written_down_is_checked_against(place: Place) -> None:
    head = place.verify().output.splitlines()[-1].split()[1]
    assert place.verify("--head", head).exit_code == 0
    result = place.verify("--head", "3:" + "0" * 32)
    assert result.exit_code == 1
    assert "a head was noted here with another value" in result.output


def test_a_copy_elsewhere_is_checked_with_a_copy_of_the_key(place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in (place.log, place.key):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "audit.key").chmod(0o600)
    words = ("verify", "--log", str(copy / "audit.log"), "--key", str(copy / "audit.key"))
    without = place.run(*words)
    assert without.exit_code == 1
    assert "the head is gone" in without.output
    result = place.run(*words, "--head", "none")
    assert result.exit_code == 0
    assert "no head was given" in result.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--head", "a", "--head", "b"), 2, "give one head file, or none"),
        (("--socket", "s", "--log", "l"), 2, "leave --log, --key and --head out"),
        (("--key", "nothing.key"), 1, "without the key nothing can be checked"),
        (("--log", "nothing.log"), 1, "there is no nothing.log"),
    ],
)
def test_what_cannot_be_checked_is_said(place: Place, words: tuple[str, ...], code: int, said: str) -> None:
    result = place.verify(*words)
    assert result.exit_code == code
    assert said in result.output


def test_a_key_open_to_others_proves_nothing(place: Place) -> None:
    place.key.chmod(0o644)
    result = place.verify("--key", str(place.key))
    assert result.exit_code == 1
    assert f"chmod 600 {place.key}" in result.output


@pytest.mark.parametrize(("refused", "code"), [(False, 1), (True, 1)])
async def test_who_may_not_read_the_key_has_the_daemon_check(place: Place, refused: bool, code: int) -> None:
    verdict = json.loads(place.verify("--json").output) | {"intact": False, "broken": 1}
    place.key.unlink()

    async def answer(params: messages.NoParams, caller: Any) -> Any:
        if refused:
            raise Refused("the log is being checked", code="BUSY")
        return verdict

    with TemporaryDirectory(prefix="v2g") as folder:
        path = Path(folder) / "s"
        method = Method("audit.verify", Role.VIEWER, messages.NoParams, answer)
        server = ControlServer(path, [method], Roles(), lambda *_, **__: None, ManualClock())
        await server.start()
        words = ("verify", "--config", str(place.folder / "etc"))
        result = await asyncio.to_thread(lambda: place.run(*words, V2G_SOCKET=str(path)))
        await server.close()
    assert result.exit_code == code
    assert "asking the daemon" in result.output
    assert ("the log is being checked" if refused else "BROKEN: 1 finding") in result.output


def test_neither_key_nor_daemon_is_exit_code_3(place: Place) -> None:
    place.key.unlink()
    result = place.run("verify", "--config", str(place.folder / "etc"), V2G_SOCKET=str(place.folder / "none.sock"))
    assert result.exit_code == 3


def test_show_prints_lines_without_their_seals(place: Place) -> None:
    lines = place.show()
    assert len(lines) == 6
    assert lines[1] == "2026-01-02T03:04:05.678Z INFO: START v2g-orchestrator version=1"
    assert not any("chain=" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (("--user", "alice"), 2),
        (("--user", "bob smith"), 1),
        (("--method", "sensors"), 1),
        (("--method", "dispatch"), 2),
        (("--method", "disp"), 0),
        (("--changes",), 5),
        (("--since", "2026-01-02T05:30"), 2),
        (("--since", "2026-01-03"), 0),
        (("--since", "1h"), 0),
        (("--user", "alice", "--method", "dispatch"), 1),
    ],
)
def test_show_picks(place: Place, words: tuple[str, ...], count: int) -> None:
    assert len(place.show(*words)) == count


def test_show_as_json_has_each_field(place: Place) -> None:
    entry = json.loads(place.show("--json", "--user", "bob smith")[0])
    assert (entry["code"], entry["user"], entry["method"], entry["seq"]) == ("CALL", "bob smith", "dispatch", 6)
    assert json.loads(entry["params"]) == {"mode": "discharge"}


def test_what_somebody_put_into_the_file_does_not_reach_the_terminal(place: Place) -> None:
    with place.log.open("ab") as log:
        log.write(b"\x1b[2J\xff evil\n")
    assert place.show()[-1] == "?[2J\\xff evil"


def test_show_says_what_it_does_not_understand(place: Place) -> None:
    assert place.run("show", "--since", "yesterday").exit_code == 2
    assert place.run("show", "--log", str(place.folder / "no.log")).exit_code == 1
