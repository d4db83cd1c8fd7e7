"""Changes of the configuration as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from v2g.control.messages_config import ConfigChange, ConfigDiffResult, ConfigReloadResult, ConfigSetResult


def set_text(result: ConfigSetResult, *, running: bool) -> str:
    """What changed, whether it is in force, and what is to be done. ``running``: a daemon made the change."""
    lines = [f"no change: it is so already ({result.file})"] if not result.changes else []
    lines += [_line(each) for each in result.changes]
    if result.changes:
        kept = f"; before: {result.backup}" if result.backup else ""
        lines.append(f"written to {result.file}{kept}")
    lines += _force(result.changes, result.restart) if running else _without_daemon(result)
    if result.waiting:
        lines.append("other settings wait as well:")
        lines += [f"  {_line(each)}" for each in result.waiting]
        if any(each.takes == "reload" for each in (*result.changes, *result.waiting) if not each.in_force):
            lines.append("v2g-config reload puts in force what needs no restart")
    return "\n".join([*lines, *(f"- {remark}" for remark in result.remarks)])


def reload_text(result: ConfigReloadResult) -> str:
    lines = list(result.messages)
    lines += [f"in force: {_line(each)}" for each in result.changes]
    lines += [f"waiting:  {_line(each)}" for each in result.waiting]
    if not result.changes and not result.waiting:
        lines.append("no setting is another than before")
    lines += _restarts(result.waiting, result.restart)
    return "\n".join([*lines, *(f"- {warning}" for warning in result.warnings)])


def diff_text(result: ConfigDiffResult) -> str:
    if result.problems:
        count = len(result.problems)
        head = f"the files in {result.config_dir} have {count} mistake{'s' if count != 1 else ''}; the daemon goes on "
        return "\n".join([f"{head}with what it had:", *result.problems])
    if not result.changes:
        return f"the daemon goes by what {result.config_dir} says"
    lines = [f"{_line(each)}  ({each.takes})" for each in result.changes]
    if any(each.takes == "reload" for each in result.changes):
        lines.append("in force by: v2g-config reload")
    return "\n".join([*lines, *_restarts(result.changes, result.restart)])


def change_line(path: str, before: Any, after: Any, place: str) -> str:
    """``dispatch.dwell_s: 300 (was 240) [/etc/v2g/conf.d/90-operator.yaml:4]``."""
    return f"{path}: {shown(after)} (was {shown(before)}) [{place or 'default'}]"


def shown(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


def _line(change: ConfigChange) -> str:
    return change_line(change.path, change.before, change.after, change.place)


def _force(changes: Sequence[ConfigChange], restart: Sequence[str]) -> Iterator[str]:
    if changes and all(each.in_force for each in changes):
        yield "in force"
    elif now := [each.path for each in changes if each.in_force]:
        yield f"in force: {', '.join(now)}"
    if any(not each.in_force and each.takes == "reload" for each in changes):
        yield "not in force yet: v2g-config reload"
    yield from _restarts([each for each in changes if not each.in_force], restart)


def _without_daemon(result: ConfigSetResult) -> Iterator[str]:
    if not result.changes:
        return
    yield "no daemon runs here: it holds from its next start"
    if others := [service for service in result.restart if service != "v2g-orchestrator"]:
        yield f"if these run: systemctl restart {' '.join(others)}"
    yield from _commands(result.changes)


def _restarts(waiting: Sequence[ConfigChange], restart: Sequence[str]) -> Iterator[str]:
    if restart:
        yield f"waits for: systemctl restart {' '.join(restart)}"
    yield from _commands(waiting)


def _commands(changes: Sequence[ConfigChange]) -> Iterator[str]:
    commands = (each.takes for each in changes if not each.takes.startswith(("reload", "restart ")))
    yield from (f"waits for: {command}" for command in dict.fromkeys(commands))
