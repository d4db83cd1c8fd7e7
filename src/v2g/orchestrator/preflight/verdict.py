"""What the preflight found, as it is in force: whose discharge it refuses, and what is told when that changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from v2g.host.preflight.model import Level, PreflightLine

NOT_ENDED = "it has not ended yet"
_EFFICIENCY = "efficiency"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lines`` None: nothing was found out yet, and nobody may discharge."""

    lines: tuple[PreflightLine, ...] | None = None

    @property
    def fails(self) -> tuple[PreflightLine, ...]:
        return tuple(line for line in self.lines or () if line.level is Level.FAIL)

    @property
    def warnings(self) -> tuple[PreflightLine, ...]:
        return tuple(line for line in self.lines or () if line.level is Level.WARN)

    def refusal(self, evse_id: str, testing: str = "") -> str:
        """Why this EVSE may not discharge, in words; empty: it may. ``testing``: an EVSE that is being tested has to
        discharge what an earlier measurement of its efficiency refused."""
        if self.lines is None:
            return NOT_ENDED
        found = next((line for line in self.fails if _concerns(line, evse_id, testing)), None)
        return "" if found is None else f"{found.name} failed"

    def refuses(self, evses: Sequence[str]) -> Mapping[str, str]:
        """Of these EVSEs, by id."""
        return {evse_id: words for evse_id in evses if (words := self.refusal(evse_id))}

    def problems(self) -> tuple[str, ...]:
        """For the status: each fail with its remedy."""
        if self.lines is None:
            return (f"no discharge: preflight: {NOT_ENDED}",)
        return tuple(fail_words(line) for line in self.fails)


def fail_words(line: PreflightLine) -> str:
    """``no discharge: preflight disk: logs directory … is full; free some …``."""
    where = f"{', '.join(line.evses)}: " if line.evses else ""
    remedy = "" if line.remedy in ("", "as it says") else f"; {line.remedy}"
    return f"{where}no discharge: preflight {line.name}: {line.found}{remedy}"


def summary(lines: Sequence[PreflightLine]) -> str:
    """``18 pass, 2 warn (kernel, clock), 0 fail``."""
    names = {level: list(dict.fromkeys(line.name for line in lines if line.level is level)) for level in Level}
    told = [
        f"{sum(line.level is level for line in lines)} {level.value}"
        + (f" ({', '.join(names[level])})" if names[level] and level is not Level.PASS else "")
        for level in Level
    ]
    return ", ".join(told)


def mended(before: Verdict, now: Verdict) -> tuple[str, ...]:
    """Names of checks that had failed and do no longer."""
    still = {line.name for line in now.fails}
    return tuple(dict.fromkeys(line.name for line in before.fails if line.name not in still))


def newly_failed(before: Verdict, now: Verdict) -> tuple[PreflightLine, ...]:
    """Fails that were not told yet: of another check, of other EVSEs, or of something else. What stands behind the
    first colon may change, as a figure does."""
    told = {_told_as(line) for line in before.fails}
    return tuple(line for line in now.fails if _told_as(line) not in told)


def _concerns(line: PreflightLine, evse_id: str, testing: str) -> bool:
    if line.evses and evse_id not in line.evses:
        return False
    return not (line.name == _EFFICIENCY and evse_id == testing)


def _told_as(line: PreflightLine) -> tuple[str, tuple[str, ...], str]:
    return line.name, line.evses, line.found.partition(":")[0]
