"""What is wrong with a configuration, so that whoever wrote it can put it right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where it stands, what is written there, why that cannot be, and what to write instead.

    ``path`` is ``evses[1].inverter.modbus.port`` (list positions from 0, after merging), empty for a whole file;
    ``line`` counts from 1 and is None where the mistake has no line (a missing file); ``value`` is as written.
    """

    file: str
    path: str
    value: str
    reason: str
    remedy: str
    line: int | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        what = f" {self.path}:" if self.path else ""
        value = f" {self.value}:" if self.value else ""
        return f"{place}:{what}{value} {self.reason}\n    {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used; ``problems`` holds every mistake found, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


Locate = Callable[[str], tuple[str, int | None]]
"""Path of a value -> file and line."""


class Report:
    """Collects the problems of a check between values."""

    def __init__(self, locate: Locate) -> None:
        self._locate = locate
        self.problems: list[Problem] = []

    def add(self, path: str, value: object, reason: str, remedy: str) -> None:
        file, line = self._locate(path)
        self.problems.append(Problem(file, path, str(value), reason, remedy, line))

    def place(self, path: str) -> str:
        file, line = self._locate(path)
        return file if line is None else f"{file}:{line}"


def shown(value: object) -> str:
    """A value as it may be shown in a message: one line, bounded."""
    if isinstance(value, dict | list):
        return ""
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
