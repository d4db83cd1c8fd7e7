"""``v2g-config set``, ``unset``, ``reload``, ``diff`` and ``backup``: changes, by the daemon where one runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import msgspec
from click.core import ParameterSource

from v2g.cli.common import daemon, fail, json_option, print_json, say, socket_option
from v2g.cli.completion import complete_change, complete_path
from v2g.cli.config_text import change_line, diff_text, reload_text, set_text
from v2g.cli.daemons import CONFIG_VARIABLE, DEFAULT_CONFIG_DIR, problems
from v2g.cli.manners import FAILED, NOT_REACHABLE, confirm, yes_option
from v2g.cli.tables import table
from v2g.control.client import CallRefused, ControlClient, ControlError, DaemonNotReachable, find_socket
from v2g.control.messages_config import (
    ConfigChange,
    ConfigDiffResult,
    ConfigReloadResult,
    ConfigRestoreParams,
    ConfigSetParams,
    ConfigSetResult,
)

if TYPE_CHECKING:
    from v2g.config.loader import Loaded

_NAME = "v2g-config"
_TIMEOUT_S = 40.0
"""The guard reads its configuration again within."""
F = TypeVar("F", bound=Callable[..., Any])


def _config_option(command: F) -> F:
    return click.option(
        "--config",
        "config_dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=CONFIG_VARIABLE,
        help=f"Directory with v2g.yaml and conf.d/.  [default: the daemon's, or {DEFAULT_CONFIG_DIR}]",
    )(command)


@click.command("set")
@click.argument("words", nargs=-1, required=True, metavar="PATH VALUE...", shell_complete=complete_change)
@_config_option
@json_option
@socket_option
def set_(words: tuple[str, ...], config_dir: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """Change settings, all of them or none: each PATH gets the VALUE behind it.

    A value may have its unit, as people write it: 10kW, 5min, '1h 30min', 3%. The change is checked together with all
    files, is written into conf.d/90-operator.yaml, which wins over them, and what that said before is kept. Where the
    daemon runs, it writes, and the change is in force at once where that is possible; otherwise the services to restart
    are named.

    \b
    Examples:
      v2g-config set dispatch.dwell_s 5min
      v2g-config set dispatch.default_mode idle dispatch.peak_shaving_pu 0.75
      v2g-config set 'evses[US*V2G*E1].max_charge_w' 11kW
      v2g-config set harmonic_filter.threshold=3%

    Exit codes: 0 set, or set already. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not reachable,
    and the files are not ours to write.
    """
    from v2g.config.edit import EditError, pairs

    try:
        changes = pairs(words)
    except EditError as error:
        raise click.UsageError(str(error)) from None
    _change(ConfigSetParams(changes=dict(_once(changes))), config_dir, as_json, socket_path)


@click.command("unset")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", shell_complete=complete_path)
@_config_option
@json_option
@socket_option
def unset(paths: tuple[str, ...], config_dir: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """Take back what was set: from then on the other files count again, or the default.

    \b
    Examples:
      v2g-config unset dispatch.dwell_s
      v2g-config unset 'evses[US*V2G*E1].max_charge_w' dispatch.default_mode

    Exit codes: 0 taken back. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not reachable, and the
    files are not ours to write.
    """
    _change(ConfigSetParams(unset=tuple(dict.fromkeys(paths))), config_dir, as_json, socket_path)


@click.command("reload")
@json_option
@socket_option
def reload(as_json: bool, socket_path: Path | None) -> None:
    """Let the daemon read its configuration again: all that a reload can put in force, or with any mistake nothing.

    The same as systemctl reload v2g-orchestrator, with an answer: what is in force now, and which services have to be
    restarted for the rest. Sensors, certificates and the mesh's keys are read anew, too.

    \b
    Examples:
      v2g-config validate
      v2g-config reload

    Exit codes: 0 done. 1 refused, and every mistake is named. 2 not understood. 3 the daemon is not reachable.
    """
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("config.reload")
    if as_json:
        print_json(answer)
    else:
        say(reload_text(msgspec.convert(answer, ConfigReloadResult)))


@click.command("diff")
@click.option("--defaults", is_flag=True, help="What the files say instead of the defaults; needs no daemon.")
@_config_option
@json_option
@socket_option
def diff(defaults: bool, config_dir: Path | None, as_json: bool, socket_path: Path | None) -> None:
    """What the files say and the running daemon does not go by yet, and what each setting takes.

    \b
    Examples:
      v2g-config diff
      v2g-config diff --defaults

    Exit codes: 0 shown, or nothing differs. 1 the files have mistakes. 2 not understood. 3 the daemon is not reachable.
    """
    if defaults:
        _diff_defaults(config_dir or DEFAULT_CONFIG_DIR, as_json)
        return
    if click.get_current_context().get_parameter_source("config_dir") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--config goes with --defaults: the daemon compares with its own files")
    with daemon(socket_path, _NAME, as_json, _TIMEOUT_S) as client:
        answer = client.call("config.diff")
    result = msgspec.convert(answer, ConfigDiffResult)
    if as_json:
        print_json(answer)
    else:
        say(diff_text(result))
    raise SystemExit(1 if result.problems else 0)


@click.group("backup")
def backup() -> None:
    """What the drop-ins said before commands changed them: list them, restore one.

    \b
    Examples:
      v2g-config backup list
      v2g-config backup restore 3

    Exit codes: 0 done. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not reachable, and the files
    are not ours to write.
    """


@backup.command("list")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_backups(config_dir: Path | None, as_json: bool) -> None:
    """The backups, the newest first.

    \b
    Examples:
      v2g-config backup list
      v2g-config backup list --json

    Exit codes: 0 shown. 1 they cannot be read. 2 not understood.
    """
    from v2g.config.backups import backups
    from v2g.telemetry.lines import timestamp

    directory = (config_dir or DEFAULT_CONFIG_DIR) / "conf.d"
    try:
        found = backups(directory)
    except OSError as error:
        fail(_NAME, f"{error.filename}: {error.strerror}; ask as root", FAILED)
    if as_json:
        print_json(
            [
                {"name": each.name, "number": each.number, "written": each.written_unix_s, "file": str(each.path)}
                for each in found
            ]
        )
    elif not found:
        click.echo(f"there are no backups in {directory}: no command has changed a drop-in there")
    else:
        rows = [(str(each.number), each.name, timestamp(each.written_unix_s), str(each.path)) for each in found]
        click.echo(table(("NUMBER", "DROP-IN", "WRITTEN", "FILE"), rows))


@backup.command("restore")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--name", default="90-operator.yaml", show_default=True, help="The drop-in.")
@_config_option
@yes_option
@json_option
@socket_option
def restore(
    number: int, name: str, config_dir: Path | None, yes: bool, as_json: bool, socket_path: Path | None
) -> None:
    """Take a drop-in back to backup NUMBER, whole; what it says now becomes another backup.

    \b
    Examples:
      v2g-config backup restore 3
      v2g-config backup restore 3 --name 80-calibration.yaml --yes

    Exit codes: 0 restored. 1 refused, nothing is changed. 2 not understood. 3 the daemon is not reachable, and the
    files are not ours to write.
    """
    confirm(f"Everything that {name} says now is replaced by its backup {number}. Go on?", yes)
    params = ConfigRestoreParams(name=name, number=number)
    _change(params, config_dir, as_json, socket_path)


def _change(
    params: ConfigSetParams | ConfigRestoreParams, config_dir: Path | None, as_json: bool, socket_path: Path | None
) -> None:
    """By the daemon, where it runs and these are its files; else here."""
    method = "config.set" if isinstance(params, ConfigSetParams) else "config.restore"
    path = socket_path or find_socket()
    try:
        with ControlClient(path, _TIMEOUT_S, name=_NAME) as client:
            if config_dir is None or _is_its(client, config_dir):
                answer = client.call(method, params)
                if as_json:
                    print_json(answer)
                else:
                    say(set_text(msgspec.convert(answer, ConfigSetResult), running=True))
                return
    except DaemonNotReachable as error:
        # A socket that was named is that of one daemon, whose files are not those of this host.
        named = socket_path is not None or os.environ.get("V2G_SOCKET")
        if config_dir is None and (named or not error.absent):
            _refused(as_json, "DAEMON_NOT_REACHABLE", str(error), NOT_REACHABLE)
    except ControlError as error:
        code = error.code if isinstance(error, CallRefused) else "DAEMON_NOT_REACHABLE"
        _refused(as_json, code, str(error), error.exit_code)
    result = _here(params, config_dir or DEFAULT_CONFIG_DIR, as_json)
    if as_json:
        print_json(msgspec.to_builtins(result))
    else:
        say(set_text(result, running=False))


def _is_its(client: ControlClient, config_dir: Path) -> bool:
    its = Path(msgspec.convert(client.call("config.diff"), ConfigDiffResult).config_dir)
    with suppress(OSError):
        return its.samefile(config_dir)
    return False


def _here(params: ConfigSetParams | ConfigRestoreParams, config_dir: Path, as_json: bool) -> ConfigSetResult:
    """Without a daemon: by the command itself."""
    from v2g.config.edit import EditError
    from v2g.config.loader import load
    from v2g.config.problems import ConfigError

    try:
        before = load(config_dir)
        _become_owner(config_dir / "conf.d")
        return _written(params, before)
    except EditError as error:
        _refused(as_json, "BAD_SETTING", f"nothing was changed: {error}", FAILED)
    except ValueError as error:
        _refused(as_json, "NO_BACKUP", str(error), FAILED)
    except ConfigError as error:
        if as_json:
            _refused(as_json, "SETTINGS_REFUSED", str(error), FAILED)
        problems(f"{_NAME}: nothing was changed", error)
        raise SystemExit(FAILED) from None
    except OSError as error:
        where = error.filename or config_dir
        remedy = "run it as root, or start the daemon, which writes for engineers"
        if error.errno in (28, 122):
            remedy = "make room there first"
        elif error.errno == 30:
            remedy = "it is mounted read-only: mount -o remount,rw it, or change the image that it comes from"
        _refused(as_json, "NOT_WRITABLE", f"nothing was changed: {where}: {error.strerror or error}; {remedy}", FAILED)


def _written(params: ConfigSetParams | ConfigRestoreParams, before: Loaded) -> ConfigSetResult:
    from v2g.config.backups import backups
    from v2g.config.comparison import differences, places_of, settings_of
    from v2g.config.edit import EditError, edits, unset_keys
    from v2g.config.reload_rules import to_restart
    from v2g.config.writer import OPERATOR_DROPIN, dropin_path, restore_backup, write_dropin

    name = OPERATOR_DROPIN
    if isinstance(params, ConfigRestoreParams):
        name = params.name
        loaded = restore_backup(before.config_dir, name, params.number)
    else:
        wanted = {each.key: each.value for each in edits(tuple(params.changes.items()), before.config)}
        taken = unset_keys(params.unset, before)
        if both := sorted(set(wanted) & set(taken)):
            raise EditError(f"{both[0]}: is set and unset at once")
        loaded = write_dropin(before.config_dir, wanted | taken, name)
    file = dropin_path(before.config_dir, name)
    found = differences(settings_of(before.config), settings_of(loaded.config))
    kept, places = backups(file.parent, name), places_of(loaded)
    return ConfigSetResult(
        file=str(file),
        backup=str(kept[0].path) if kept else "",
        changes=tuple(
            ConfigChange(
                path=each.path,
                before=each.before,
                after=each.after,
                place=places.get(each.path, ""),
                takes=each.rule.words,
                in_force=False,
            )
            for each in found
        ),
        restart=to_restart((each.rule for each in found), reload=False),
        remarks=tuple(text for text in map(str, loaded.warnings) if text not in map(str, before.warnings)),
    )


def _become_owner(directory: Path) -> None:
    """As root: go on as the owner of the drop-ins, whose the files have to be, and who may plant links there."""
    if os.geteuid() != 0 or not directory.is_dir():
        return
    owner = directory.stat()
    if owner.st_uid != 0:
        os.setgroups([owner.st_gid])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


def _diff_defaults(config_dir: Path, as_json: bool) -> None:
    from v2g.config.loader import load
    from v2g.config.problems import ConfigError
    from v2g.config.reference import entry_for
    from v2g.config.values import values

    try:
        loaded = load(config_dir)
    except ConfigError as error:
        problems(_NAME, error)
        raise SystemExit(1) from None
    rows = []
    for each in values(loaded):
        entry = entry_for(each.path)
        default = entry.default if entry is not None else ""
        if each.place and not _is_default(each.value, default):
            rows.append((each, default))
    if as_json:
        print_json({each.path: {"value": each.value, "default": default, "file": each.place} for each, default in rows})
        return
    for each, default in rows:
        click.echo(change_line(each.path, default or None, each.value, each.place))


def _is_default(value: Any, default: str) -> bool:
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return (shown or "empty") == default or (value is None and default == "none")


def _once(changes: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    names = [path for path, _ in changes]
    if twice := sorted({path for path in names if names.count(path) > 1}):
        raise click.UsageError(f"{twice[0]} is given twice: keep one")
    return changes


def _refused(as_json: bool, code: str, text: str, exit_code: int) -> NoReturn:
    if as_json:
        print_json({"error": {"code": code, "message": text}})
    fail(_NAME, text, exit_code)
