"""The chained audit log over all that becomes of a file: rotation, restart, a full disk, a crash, a lost key."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from v2g.clock import ManualClock
from v2g.telemetry import audit_file, logs
from v2g.telemetry.audit_check import AuditReadError, check_with_files, find_files
from v2g.telemetry.audit_file import AuditFile
from v2g.telemetry.audit_key import AuditKeyError, read_key
from v2g.telemetry.audit_verify import Verdict

LINE = "2026-01-02T03:04:05.000Z INFO: CALL uid=1000 user=alice"


class Bench:
    """A daemon's audit log: start it, write, stop it or let it die."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log, self.key, self.head = folder / "audit.log", folder / "audit.key", folder / "audit.head"
        self.clock = ManualClock(unix_s=1767323045.678)
        self.alarms: list[str] = []
        self.secrets: Iterator[bytes] = iter(bytes([number]) * 32 for number in range(1, 250))
        self.file: AuditFile | None = None

    def start(self) -> AuditFile:
        self.file = AuditFile(
            self.log, self.alarms.append, self.clock, self.key, self.head, lambda count: next(self.secrets)
        )
        return self.file

    def write(self, count: int = 1) -> None:
        assert self.file is not None
        for _ in range(count):
            self.clock.advance(1.5)
            self.file.write(LINE, self.clock.monotonic_s())

    def stop(self) -> None:
        assert self.file is not None
        self.file.close()

    def run(self, count: int = 3) -> tuple[str, ...]:
        """One life of the daemon; what it found at its start."""
        findings = self.start().findings
        self.write(count)
        self.stop()
        return findings

    def die(self) -> None:
        """No head is kept from here on."""
        assert self.file is not None
        self.file._ended.set()
        self.file._dirty.set()
        if self.file._keeper is not None:
            self.file._keeper.join(5)
        if self.file._fd >= 0:
            os.close(self.file._fd)

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def codes(self) -> list[str]:
        return [line.split()[2] for line in self.lines()]

    def check(self) -> Verdict:
        return check_with_files(self.log, [self.key], self.head)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    # The thread that keeps the head waits in real time; tests end it at once.
    monkeypatch.setattr(audit_file, "HEAD_EVERY_S", 60.0)
    bench = Bench(tmp_path)
    yield bench
    if bench.file is not None:
        bench.die() if bench.file._fd < 0 else bench.stop()


def test_lines_stay_text_and_end_with_seq_and_chain(bench: Bench) -> None:
    bench.run(2)
    first, second, third = bench.lines()
    assert first.startswith("2026-01-02T03:04:07.178Z INFO: CHAIN_STARTED key=")
    assert second.startswith(f"{LINE} seq=2 chain=")
    assert third.startswith(f"{LINE} seq=3 chain=")
    assert len(third.rpartition("=")[2]) == 32


def test_key_and_head_are_private_and_the_log_is_written_by_one_user(bench: Bench) -> None:
    before = os.umask(0)
    try:
        bench.run()
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (bench.key, bench.head, bench.log)]
    assert modes == [0o600, 0o640, 0o640]
    assert sorted(path.name for path in bench.folder.iterdir()) == ["audit.head", "audit.key", "audit.log"]


def test_a_restart_goes_on_with_the_chain(bench: Bench) -> None:
    for _ in range(3):
        assert bench.run() == ()
    assert bench.codes() == ["CHAIN_STARTED"] + ["CALL"] * 9
    found = bench.check()
    assert (found.intact, found.lines, found.last_seq, found.remarks) == (True, 10, 10, ())


def test_rotation_keeps_the_chain_and_the_check_follows_it_compressed_files_too(bench: Bench) -> None:
    bench.start()
    for number in range(4):
        bench.write(3)
        if number < 3:
            rotate(bench.log)
    bench.stop()
    names = ["audit.log.3.gz", "audit.log.2.gz", "audit.log.1", "audit.log"]
    assert [path.name for path in find_files(bench.log)] == names
    assert bench.codes() == ["CHAIN_CONTINUED", "CALL", "CALL", "CALL"]
    found = bench.check()
    assert (found.intact, found.lines, [Path(name).name for name in found.files]) == (True, 16, names)
    (bench.folder / "audit.log.3.gz").unlink()
    found = bench.check()
    assert (found.intact, found.first_seq) == (True, 5)
    assert found.remarks == ("it begins with seq 5: older files are no longer kept",)


def rotate(log: Path) -> None:
    """As logrotate with compress and delaycompress."""
    for number in range(5, 1, -1):
        old = log.with_name(f"{log.name}.{number}.gz")
        if old.exists():
            old.rename(log.with_name(f"{log.name}.{number + 1}.gz"))
    last = log.with_name(f"{log.name}.1")
    if last.exists():
        last.with_name(f"{log.name}.2.gz").write_bytes(gzip.compress(last.read_bytes()))
        last.unlink()
    log.rename(last)


def test_a_hangup_in_the_midst_leaves_the_chain_as_it_is(bench: Bench) -> None:
    file = bench.start()
    for number in range(6):
        bench.write()
        if number == 3:
            bench.log.rename(bench.log.with_name("audit.log.1"))
        file.reopen()
    bench.stop()
    assert bench.codes() == ["CHAIN_CONTINUED", "CALL", "CALL"]
    verdict = bench.check()
    assert verdict.intact, verdict


def test_names_by_date_are_followed_too(bench: Bench) -> None:
    bench.start()
    for date in ("20260101", "20260108", None):
        bench.write(2)
        if date is not None:
            bench.log.rename(bench.folder / f"audit.log-{date}")
    bench.stop()
    assert bench.check().intact
    assert [path.name for path in find_files(bench.log)] == ["audit.log-20260101", "audit.log-20260108", "audit.log"]


def test_a_file_between_two_others_that_is_gone_is_noticed(bench: Bench) -> None:
    bench.start()
    for number in range(3):
        bench.write(3)
        if number < 2:
            rotate(bench.log)
    bench.stop()
    (bench.folder / "audit.log.1").unlink()
    found = bench.check()
    assert [(finding.kind, finding.words) for finding in found.findings] == [("removed", "seq 5 to 8 are missing")]


def test_a_log_that_was_deleted_while_the_daemon_ran_is_no_rotation(bench: Bench) -> None:
    bench.start()
    bench.write(3)
    bench.log.unlink()
    bench.write(2)
    bench.stop()
    found = bench.check()
    assert [finding.words for finding in found.findings] == [
        "the file before it is gone: this one goes on with its chain"
    ]


def test_another_file_in_its_place_is_told_and_found(bench: Bench) -> None:
    bench.start()
    bench.write(5)
    lines = bench.log.read_bytes().splitlines(keepends=True)
    other = bench.folder / "other"
    other.write_bytes(b"".join(lines[:3]))
    other.rename(bench.log)
    bench.write(1)
    bench.stop()
    assert 'reason="another file was found"' in bench.log.read_text()
    found = bench.check()
    assert [(each.line, each.kind, each.words) for each in found.findings] == [(4, "removed", "seq 4 to 6 are missing")]


def test_a_crash_without_a_head_loses_nothing_that_is_in_the_log(bench: Bench) -> None:
    bench.run()
    bench.start()
    bench.write(4)
    bench.die()
    assert bench.run() == ()
    found = bench.check()
    assert (found.intact, found.last_seq) == (True, 11)


def test_a_line_torn_by_a_crash_is_told_as_what_it_is_and_the_chain_goes_on(bench: Bench) -> None:
    bench.run()
    with bench.log.open("ab") as log:
        log.write(b"2026-01-02T03:04:09.000Z INFO: CALL uid=10")
    torn = bench.check()
    assert torn.intact
    assert torn.remarks == (f"{bench.log}:5: the last line was cut off (42 bytes): it was being written",)
    assert bench.run() == ()
    assert bench.codes()[4:7] == ["CALL", "CHAIN_RESUMED", "CALL"]
    assert "torn_bytes=42" in bench.lines()[5]
    found = bench.check()
    assert (found.intact, found.lines) == (True, 8)
    assert found.remarks == (f"{bench.log}:5: a line was cut off here (42 bytes), and never entered",)
    rotate(bench.log)
    bench.run()
    assert bench.check().intact


def test_a_line_torn_in_a_file_that_was_rotated_meanwhile_is_told_in_the_next(bench: Bench) -> None:
    bench.run()
    with bench.log.open("ab") as log:
        log.write(b"half a li")
    rotate(bench.log)
    assert bench.run() == ()
    assert "torn_bytes=9" in bench.lines()[0]
    found = bench.check()
    assert found.intact
    assert "audit.log.1:5: a line was cut off here" in found.remarks[0]


def test_half_a_line_that_nobody_explains_is_a_break(bench: Bench) -> None:
    bench.run()
    bench.start()
    bench.write()
    with bench.log.open("ab") as log:
        log.write(b"half a li")
    bench.write()
    bench.stop()
    assert [finding.kind for finding in bench.check().findings] == ["altered"]


def test_a_full_disk_leaves_a_chain_that_says_what_was_lost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    for room in range(0, 700, 7):
        bench.start()
        left = [room]

        def full(fd: int, data: bytes, left: list[int] = left) -> int:
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            written = write(fd, data[: left[0]])
            left[0] -= written
            return written

        monkeypatch.setattr("v2g.telemetry.files.os.write", full)
        bench.write(5)
        monkeypatch.setattr("v2g.telemetry.files.os.write", write)
        bench.write(2)
        bench.stop()
        found = bench.check()
        assert found.intact, (room, found.findings)
    assert "lost_lines=" in bench.log.read_text()
    assert "torn_bytes=" in bench.log.read_text()
    assert any("No space left" in alarm for alarm in bench.alarms)


def test_a_line_that_lacks_only_its_end_is_kept(bench: Bench) -> None:
    bench.run()
    bench.log.write_bytes(bench.log.read_bytes()[:-1])
    assert bench.run() == ()
    found = bench.check()
    assert (found.intact, found.lines, found.broken) == (True, 7, 0)


@pytest.mark.parametrize(
    ("tamper", "finding", "kind"),
    [
        (
            lambda bench: cut_tail(bench, 2),
            "was cut: it ends with seq 2, and lines up to seq 4 were written",
            "removed",
        ),
        (lambda bench: bench.log.write_bytes(b""), "", "removed"),
        (lambda bench: bench.log.unlink(), "", "removed"),
        (lambda bench: bench.head.unlink(), "audit.head is gone: lines removed at the end", "truncated"),
        (lambda bench: bench.head.write_text("{"), "is no head of an audit log", "truncated"),
        (lambda bench: bench.head.write_text(changed_head(bench)), "was changed by somebody", "truncated"),
    ],
)
def test_what_was_done_between_two_runs_is_said_at_the_start_and_stays_visible(
    bench: Bench, tamper: Callable[[Bench], object], finding: str, kind: str
) -> None:
    bench.run()
    tamper(bench)
    findings = bench.start().findings
    assert (finding in " ".join(findings)) if finding else (findings == ())
    bench.write(3)
    bench.stop()
    assert any(code in bench.codes() for code in ("CHAIN_RESUMED", "CHAIN_CONTINUED"))
    found = bench.check()
    assert found.last_seq == 8
    assert [each.kind for each in found.findings] == [kind]


def cut_tail(bench: Bench, keep: int) -> None:
    bench.log.write_bytes(b"".join(bench.log.read_bytes().splitlines(keepends=True)[:keep]))


def changed_head(bench: Bench) -> str:
    return bench.head.read_text().replace('"seq":4', '"seq":2')


def test_lines_forged_while_the_daemon_was_down_do_not_get_into_the_chain(bench: Bench) -> None:
    bench.run()
    with bench.log.open("a") as log:
        log.write(f"{LINE} seq=999999999999 chain={'a' * 32}\n{LINE} seq=5 chain={'b' * 32}\n")
    bench.run()
    assert bench.lines()[-1].partition(" seq=")[2].startswith("7 ")
    assert {finding.line for finding in bench.check().findings} <= {5, 6}
    assert not bench.check().intact


def test_a_key_that_is_gone_is_replaced_loudly_and_the_break_stays_visible(bench: Bench) -> None:
    bench.run()
    old = bench.folder / "old.key"
    bench.key.rename(old)
    (finding,) = bench.run()
    assert "audit.key was gone: a new key is made" in finding
    assert "CHAIN_STARTED" in bench.codes()[4]
    assert 'reason="new key"' in bench.lines()[4]
    found = bench.check()
    assert [(finding.line, finding.kind) for finding in found.findings] == [(1, "other_key"), (5, "other_key")]
    both = check_with_files(bench.log, [bench.key, old], bench.head)
    assert both.lines == 8
    assert [finding.line for finding in both.findings] == [5]
    assert "whether lines before it were removed cannot be told" in both.findings[0].words


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda key: key.chmod(0o640), "is open to others (mode 0640): chmod 600"),
        (lambda key: key.write_text("no key"), "32 bytes as hexadecimal digits are wanted"),
        (lambda key: (key.rename(key.with_name("k")), key.symlink_to(key.with_name("k"))), "is a symbolic link"),
        (lambda key: (key.unlink(), key.mkdir()), "is no regular file"),
    ],
)
def test_a_key_that_cannot_be_used_is_put_aside_and_control_goes_on(
    bench: Bench, spoil: Callable[[Path], object], words: str
) -> None:
    bench.run()
    spoil(bench.key)
    (finding,) = bench.run()
    assert words in finding
    assert "it is put aside as" in finding
    assert len(bench.codes()) == 8
    assert not bench.check().intact
    assert bench.run() == ()


def test_without_a_place_for_the_key_lines_are_written_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.key = bench.head = tmp_path / "absent" / "audit.key"
    (finding,) = bench.run()
    assert "cannot be written (No such file or directory): lines of this run cannot be checked later" in finding
    assert bench.file is not None
    assert "cannot be noticed" in bench.file.state.problem
    assert bench.codes() == ["CHAIN_STARTED", "CALL", "CALL", "CALL"]
    with pytest.raises(AuditKeyError, match="cannot be read"):
        bench.check()


def test_lines_from_before_the_chain_are_told_as_not_covered(bench: Bench) -> None:
    (bench.folder / "audit.log.1").write_text("old line\n")
    bench.log.write_text("old line\nold line")
    bench.run()
    found = bench.check()
    assert found.intact
    assert found.remarks == ("3 lines are from before the chain and not covered by it",)
    bench.log.write_text("one more\n" + bench.log.read_text())
    assert [finding.kind for finding in bench.check().findings] == ["inserted"]


def test_a_key_without_log_and_head_is_told(bench: Bench) -> None:
    bench.run()
    bench.log.unlink()
    bench.head.unlink()
    (finding,) = bench.run()
    assert "neither" in finding
    assert 'reason="the log is gone"' in bench.lines()[0]
    assert [finding.kind for finding in bench.check().findings] == ["removed"]


@pytest.mark.parametrize("before", ["", "a line of a version without the chain\n"])
def test_a_crash_before_the_first_line_is_no_removal(bench: Bench, before: str) -> None:
    if before:
        bench.log.write_text(before)
    bench.start()
    bench.die()
    assert bench.run() == ()
    assert "CHAIN_STARTED" in bench.lines()[1 if before else 0]
    assert bench.check().intact


def test_a_first_line_after_a_rotation_that_the_power_cut_off_is_no_forgery(bench: Bench) -> None:
    bench.start()
    bench.write(3)
    head = bench.head.read_bytes()
    bench.log.rename(bench.folder / "audit.log.1")
    bench.write(1)
    bench.die()
    bench.head.write_bytes(head)
    os.truncate(bench.log, 50)
    assert bench.run() == ()
    assert bench.check().intact


def test_without_a_descriptor_to_spare_the_head_waits_and_is_kept_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bench.start()
    bench.write(1)
    file.keep_head()
    bench.write(1)
    with monkeypatch.context() as none_left:
        none_left.setattr(os, "dup", lambda fd: (_ for _ in ()).throw(OSError(errno.EMFILE, "Too many open files")))
        file.keep_head()
        assert "Too many open files" in file.state.problem
    file.keep_head()
    assert (file.state.problem, file.state.kept) == ("", file.state.end)


def test_a_compressed_file_that_is_damaged_is_named(bench: Bench) -> None:
    bench.start()
    for number in range(3):
        bench.write(20)
        if number < 2:
            rotate(bench.log)
    bench.stop()
    packed = bench.folder / "audit.log.2.gz"
    packed.write_bytes(packed.read_bytes()[:-30])
    found = bench.check()
    assert (found.findings[0].kind, Path(found.findings[0].file).name) == ("unreadable", "audit.log.2.gz")


def test_one_rotated_file_can_be_checked_alone(bench: Bench) -> None:
    bench.start()
    for number in range(3):
        bench.write(3)
        if number < 2:
            rotate(bench.log)
    bench.stop()
    found = check_with_files(bench.folder / "audit.log.1", [bench.key], bench.head)
    assert (found.intact, found.first_seq, found.last_seq) == (True, 5, 8)


def test_a_log_that_is_not_there_is_said(tmp_path: Path, bench: Bench) -> None:
    bench.run()
    with pytest.raises(AuditReadError, match="there is no"):
        check_with_files(tmp_path / "nothing.log", [bench.key], bench.head)


def test_the_head_is_kept_by_a_thread_and_never_newer_than_the_log_on_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fdatasync, audit_file.replace_file
    monkeypatch.setattr(os, "fdatasync", lambda fd: (order.append("log"), sync(fd)))
    monkeypatch.setattr(
        audit_file, "replace_file", lambda *given, **how: (order.append("head"), replace(*given, **how))
    )
    file = bench.start()
    bench.write(1)
    file.keep_head()
    assert order in (["head", "log", "head"], ["head"] + ["log", "head"] * 2)
    assert file.state.kept == file.state.end
    order.clear()
    file.keep_head()
    assert order == []
    bench.log.rename(bench.folder / "audit.log.1")
    bench.write(1)
    file.keep_head()
    assert order[-3:] == ["log", "log", "head"], "the file that was left has its lines on the disk too"


def test_the_audit_log_alone_is_chained(tmp_path: Path) -> None:
    logs.configure(tmp_path / "log", stderr=False, clock=ManualClock())
    assert logs.audit_state() is None
    logs.chain_audit(tmp_path, lambda count: bytes(count))
    try:
        logs.audit_log().info("START")
        logs.daemon_log().info("READY")
        state = logs.audit_state()
        assert state is not None
        assert state.end.seq == 2
    finally:
        logs.close()
    assert (tmp_path / "log" / "audit.log").read_text().count(" chain=") == 2
    assert " chain=" not in (tmp_path / "log" / "daemon.log").read_text()
    assert read_key(tmp_path / "audit.key").id == state.key_id


def test_the_check_runs_as_a_process_of_its_own(bench: Bench) -> None:
    bench.run()
    command = [sys.executable, "-m", "v2g.telemetry.audit_check", *map(str, (bench.log, bench.key, bench.head))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert '"intact":true' in done.stdout
    bench.key.unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be read" in done.stderr
