from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from v2g.guard.background import QUEUE_LENGTH, Background
from v2g.guard.lateness import LatenessStats
from v2g.guard.tick_commands import (
    MAX_COMMANDS_A_TICK,
    CommandError,
    CommandReply,
    CommandSocket,
    Respond,
    TickCommand,
    send_command,
)


@pytest.fixture
def served(tmp_path: Path):
    commands = CommandSocket(tmp_path / "tick.sock")
    yield commands, tmp_path / "tick.sock"
    commands.close()


def raw(path: Path, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        for datagram in datagrams:
            client.sendto(datagram, str(path))


def test_a_reset_is_handled_and_answered(served) -> None:
    commands, path = served
    seen: list[TickCommand] = []

    def handle(command: TickCommand, respond: Respond) -> None:
        seen.append(command)
        respond(CommandReply(accepted=False, message="not yet"))

    replies: list[CommandReply] = []
    client = threading.Thread(
        target=lambda: replies.append(send_command(path, "reset_trip", "anna\n" + "x" * 100, timeout_s=5.0))
    )
    client.start()
    while not seen:
        commands.poll(handle)
    client.join()
    assert replies == [CommandReply(accepted=False, message="not yet")]
    assert seen[0].by == "anna" + "x" * 60
    assert [entry.name for entry in path.parent.iterdir()] == ["tick.sock"]


@pytest.mark.parametrize(
    "bad", [b"", b"\xff", b"[]", b'{"command":"close_breaker"}', b'{"command":"reset_trip","x":1}']
)
def test_what_is_not_a_command_is_dropped(served, bad: bytes) -> None:
    commands, path = served
    raw(path, bad)
    commands.poll(lambda command, respond: pytest.fail(f"handled {command}"))


def test_an_answer_may_come_later_and_with_everything_that_was_asked(served) -> None:
    commands, path = served
    kept: list[tuple[TickCommand, Respond]] = []
    replies: list[CommandReply] = []
    client = threading.Thread(
        target=lambda: replies.append(
            send_command(path, "measure_phase", "anna", enabled=False, evse_id="US*V2G*E7", timeout_s=5.0)
        )
    )
    client.start()
    while not kept:
        commands.poll(lambda command, respond: kept.append((command, respond)))
    commands.poll(lambda command, respond: pytest.fail(f"handled {command} twice"))
    command, respond = kept[0]
    answer = CommandReply(accepted=True, message="measured", digest="01234567", angle_deg=(7.0, 6.9, 7.1))
    respond(answer)
    client.join()
    assert command == TickCommand(command="measure_phase", by="anna", enabled=False, evse_id="US*V2G*E7")
    assert replies == [answer]
    respond(answer)


def test_a_flood_is_taken_a_few_a_tick(served) -> None:
    commands, path = served
    raw(path, *[b'{"command":"reset_trip"}'] * (MAX_COMMANDS_A_TICK + 2))
    seen: list[TickCommand] = []

    def handle(command: TickCommand, respond: Respond) -> None:
        seen.append(command)

    commands.poll(handle)
    assert len(seen) == MAX_COMMANDS_A_TICK
    commands.poll(handle)
    assert len(seen) == MAX_COMMANDS_A_TICK + 2


def test_nobody_there_and_nobody_answering_are_told_apart(served, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not reachable"):
        send_command(tmp_path / "other.sock", "reset_trip", "anna")
    with pytest.raises(CommandError, match="did not answer"):
        send_command(served[1], "reset_trip", "anna", timeout_s=0.01)


def test_a_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    first = CommandSocket(tmp_path / "tick.sock")
    second = CommandSocket(tmp_path / "tick.sock")
    raw(tmp_path / "tick.sock", b'{"command":"reset_trip"}')
    seen: list[TickCommand] = []
    second.poll(lambda command, respond: seen.append(command))
    assert len(seen) == 1
    second.close()
    first._socket.close()


def test_another_users_command_is_refused_and_told(tmp_path: Path) -> None:
    commands = CommandSocket(tmp_path / "tick.sock", uids={os.getuid() + 1})
    done = threading.Event()
    replies: list[CommandReply] = []

    def ask() -> None:
        replies.append(send_command(tmp_path / "tick.sock", "reset_trip", "anna", timeout_s=5.0))
        done.set()

    client = threading.Thread(target=ask)
    client.start()
    while not done.wait(0.001):
        commands.poll(lambda command, respond: pytest.fail(f"handled {command}"))
    client.join()
    assert replies == [CommandReply(accepted=False, message=f"user {os.getuid()} may not command v2g-guard tick")]
    commands.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_the_kernel_tells_who_sent_a_command(served) -> None:
    commands, path = served
    os.setreuid(65534, -1)
    try:
        raw(path, b'{"command":"reset_trip"}')
    finally:
        os.setreuid(0, -1)
    commands.poll(lambda command, respond: pytest.fail(f"handled {command}"))


def test_an_unusable_directory_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="run directory must exist"):
        CommandSocket(tmp_path / "absent" / "tick.sock")


def test_background_jobs_run_in_order_survive_errors_and_never_block_the_poster() -> None:
    release, done, errors = threading.Event(), [], []
    background = Background("test", on_error=errors.append)
    background.post(lambda: release.wait(5.0) and None)
    background.post(lambda: 1 // 0)
    for number in range(QUEUE_LENGTH + 50):
        background.post(lambda number=number: done.append(number))
    assert background.dropped >= 50
    release.set()
    background.close(5.0)
    assert done == list(range(len(done)))
    assert len(done) >= QUEUE_LENGTH - 2
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_lateness_percentiles_are_right_to_a_bin() -> None:
    stats = LatenessStats()
    assert stats.percentile_s(99) == 0.0
    for number in range(1, 1001):
        stats.observe(number * 1e-5)
    stats.observe(-1e-6)
    assert stats.ticks == 1001
    assert stats.late_ticks == 500
    assert stats.worst_s == pytest.approx(0.01)
    assert stats.percentile_s(50) == pytest.approx(0.005, rel=0.1)
    assert stats.percentile_s(99) == pytest.approx(0.0099, rel=0.1)
    stats.observe(100.0)
    assert stats.worst_s == 100.0
    assert stats.told.count == stats.ticks
    assert stats.told.counts[:2] == [11, 15], "up to 0.1 ms, and up to 0.25 ms"
    assert stats.told.counts[-1] == 1
