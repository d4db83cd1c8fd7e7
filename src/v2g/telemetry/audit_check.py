"""The files of ``audit.log``, the rotated ones too, read and checked.

``python -m`` of it is how the daemon checks: a process of its own, below all others in priority, JSON on stdout.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from v2g.telemetry import rotated
from v2g.telemetry.audit_chain import ChainKey, Head, Link
from v2g.telemetry.audit_key import AuditKeyError, read_head, read_key
from v2g.telemetry.audit_verify import Verdict, Verifier

MOST_LINE_BYTES = 1 << 17
"""Longer than any line that is written; a longer one is taken in pieces, which do not fit."""
_NICENESS = 15
_ATTEMPTS = 5


class AuditReadError(Exception):
    """There is no log to check, or it may not be read."""


class OpenLog:
    """The files of a log, opened together: a rotation meanwhile neither hides one nor shows one twice."""

    def __init__(self, log: Path) -> None:
        """Raises :class:`AuditReadError`."""
        self._files: list[tuple[Path, IO[bytes], int]] = []
        self.problems: list[tuple[Path, str]] = []
        self.alone = rotated.is_rotated(log)
        for _ in range(_ATTEMPTS):
            self.close()
            paths = [log] if self.alone else find_files(log)
            if not paths:
                raise AuditReadError(f"there is no {log}: name the log with --log FILE")
            self._open(paths)
            if self.alone or paths == find_files(log):
                break
        if not self._files:
            path, reason = self.problems[0]
            raise AuditReadError(f"{path} cannot be read: {reason}")

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for path, _, _ in self._files)

    def lines(self) -> Iterator[tuple[Path, Iterator[tuple[int, bytes, bool]]]]:
        """Each file, oldest first, and its lines: number, bytes without the end, whether it had one. What cannot be
        read is in :attr:`problems` afterwards."""
        for path, file, size in self._files:
            yield path, self._lines_of(path, file, size)

    def close(self) -> None:
        for _, file, _ in self._files:
            file.close()
        self._files, self.problems = [], []

    def __enter__(self) -> OpenLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, paths: Sequence[Path]) -> None:
        for path in paths:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                file = os.fdopen(fd, "rb")
                self._files.append((path, file, os.fstat(fd).st_size))
            except OSError as error:
                self.problems.append((path, error.strerror or str(error)))

    def _lines_of(self, path: Path, file: IO[bytes], size: int) -> Iterator[tuple[int, bytes, bool]]:
        zipped = path.suffix == ".gz"
        source: Any = gzip.GzipFile(fileobj=file, mode="rb") if zipped else file
        number, left = 0, size
        try:
            # What is appended while we read belongs to the next check.
            while line := source.readline(MOST_LINE_BYTES if zipped else min(MOST_LINE_BYTES, left)):
                number += 1
                left -= 0 if zipped else len(line)
                ended = line.endswith(b"\n")
                yield number, line[:-1] if ended else line, ended
                if left <= 0 and not zipped:
                    return
        except (OSError, EOFError, zlib.error) as error:
            self.problems.append((path, f"from line {number + 1} on: {error}"))


def find_files(log: Path) -> list[Path]:
    """``audit.log`` and what logrotate made of older ones, oldest first. Raises :class:`AuditReadError`."""
    try:
        return rotated.find_files(log)
    except OSError as error:
        raise AuditReadError(f"{log.parent} cannot be read: {error.strerror}") from None


def check(
    log: Path, keys: Sequence[ChainKey], head: Head | None, noted: Sequence[Link], *, head_wanted: bool
) -> Verdict:
    """Every line of the log and its older files. ``head`` was read before the log is opened, or it may be the newer.

    Raises :class:`AuditReadError`.
    """
    with OpenLog(log) as opened:
        verifier = Verifier(
            {key.id: key for key in keys},
            tuple(noted),
            opened.alone,
            None if opened.alone else head,
            head_wanted and not opened.alone,
        )
        told = 0
        for path, lines in opened.lines():
            verifier.begin(str(path))
            for number, line, ended in lines:
                verifier.feed(number, line, ended=ended)
            for where, words in opened.problems[told:]:
                verifier.unreadable(str(where), 0, words)
            told = len(opened.problems)
        for where, words in opened.problems[told:]:
            verifier.unreadable(str(where), 0, words)
        return verifier.verdict()


def check_with_files(log: Path, key_files: Sequence[Path], head_file: Path) -> Verdict:
    """With the keys and the head in files. Raises :class:`AuditKeyError`, :class:`AuditReadError`."""
    keys = [read_key(path) for path in key_files]
    head, problem = None, ""
    try:
        head = read_head(head_file)
    except AuditKeyError as error:
        problem = str(error)
    verdict = check(log, keys, head, (), head_wanted=True)
    return msgspec.structs.replace(verdict, remarks=(*verdict.remarks, problem)) if problem else verdict


def main(argv: Sequence[str]) -> int:
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    log, key, head = (Path(word) for word in argv)
    try:
        verdict = check_with_files(log, [key], head)
    except (AuditKeyError, AuditReadError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(verdict))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
