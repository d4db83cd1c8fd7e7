"""``/etc/v2g``: ``v2g.yaml``, then the drop-ins ``conf.d/*.yaml`` in name order, into one :class:`Config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from v2g.config.crosscheck import cross_check, suspicions
from v2g.config.crosscheck_plc import check_plc_devices, plc_device_suspicions
from v2g.config.migrate import read
from v2g.config.problems import ConfigError, Problem, Report
from v2g.config.schema import Config
from v2g.config.sensors import site_sensors
from v2g.config.tree import MAX_FILE_BYTES, Tree, overlay, without_nulls
from v2g.config.validate import validate
from v2g.hardware.sensor_map import SensorMap

__all__ = ["DEFAULT_DIR", "MAIN_FILE", "ConfigError", "Loaded", "Problem", "load"]

DEFAULT_DIR = Path("/etc/v2g")
MAIN_FILE = "v2g.yaml"
DROPIN_DIR = "conf.d"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds, and where each value came from.

    ``origin``: path of a value (``evses[0].inverter.modbus.port``) -> file; a default has no entry.
    ``warnings``: allowed, but probably not meant.
    """

    config: Config
    origin: dict[str, str]
    config_dir: Path
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    lines: dict[str, int] = field(default_factory=dict)
    sensors: SensorMap = field(default_factory=SensorMap)

    def place(self, path: str) -> str:
        """``file:line`` of a value; ``file`` where the line is not known; empty: no file says it."""
        file, line = self.origin.get(path), self.lines.get(path)
        return "" if file is None else file if line is None else f"{file}:{line}"


def load(config_dir: Path, replaced: Mapping[Path, str] | None = None) -> Loaded:
    """Read, merge and check everything in ``config_dir``. ``replaced`` gives the text that a file is going to have.

    Raises :class:`ConfigError` with every problem found: first those of reading, then those of single values, then
    those between values.
    """
    replaced = replaced or {}
    files, warnings = _files(config_dir, replaced)
    problems: list[Problem] = []
    merged: Tree | None = None
    for file in files:
        try:
            found = read(replaced[file] if file in replaced else _read(file), str(file))
        except ConfigError as error:
            problems += error.problems
            continue
        tree = found.tree
        warnings += [found.notice] if found.notice else []
        problems += _twice_in_one_file(tree)
        merged = tree if merged is None else overlay(merged, tree)
    if problems or merged is None:
        raise ConfigError(problems)
    merged = _with_kinds(merged)
    problems = validate(merged, Config)
    if problems:
        raise ConfigError(problems)
    try:
        config = msgspec.convert(without_nulls(merged.plain()), Config)
    except msgspec.ValidationError as error:
        raise ConfigError([Problem(str(files[0]), "", "", str(error), "correct the value named there")]) from None
    leaves = dict(merged.leaves())
    report = Report(lambda path: _place(leaves, path, str(files[0])))
    cross_check(config, report)
    sensors = site_sensors(config, config_dir, report)
    check_plc_devices(config, config_dir, sensors, report)
    if report.problems:
        raise ConfigError(report.problems)
    return Loaded(
        config=config,
        origin={path: leaf.file for path, leaf in leaves.items()},
        config_dir=config_dir,
        warnings=(*warnings, *suspicions(config), *plc_device_suspicions(config, config_dir, leaves)),
        files=tuple(files),
        lines={path: leaf.line for path, leaf in leaves.items()},
        sensors=sensors,
    )


def _files(config_dir: Path, replaced: Mapping[Path, str]) -> tuple[list[Path], list[str]]:
    main = config_dir / MAIN_FILE
    if not main.is_file() and main not in replaced:
        remedy = f"create it (etc/v2g/{MAIN_FILE} is a complete example) or name the directory with --config"
        raise ConfigError([Problem(str(main), "", "", "does not exist", remedy)])
    dropins: set[Path] = {path for path in replaced if path.parent == config_dir / DROPIN_DIR}
    warnings = []
    try:
        entries = sorted((config_dir / DROPIN_DIR).iterdir())
    except FileNotFoundError:
        entries = []
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise ConfigError(
            [Problem(str(config_dir / DROPIN_DIR), "", "", reason, "it is a directory readable for the group v2g")]
        ) from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.suffix == ".yaml":
            dropins.add(entry)
        else:
            warnings.append(f"{entry} is ignored: only files that end with .yaml are read")
    return [main, *sorted(dropins, key=lambda path: path.name)], warnings


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            [Problem(str(file), "", "", f"cannot be read: {error.strerror}", "make it readable for the group v2g")]
        ) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([Problem(str(file), "", "", f"is larger than {MAX_FILE_BYTES >> 20} MiB", "split it")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [Problem(str(file), "", "", f"is no UTF-8 (byte {error.start})", "save it as UTF-8", line)]
        ) from None


def _twice_in_one_file(tree: Tree, path: str = "") -> list[Problem]:
    """Merging by id joins the entries of different files; within one file two of the same id are a mistake."""
    problems: list[Problem] = []
    if isinstance(tree.value, dict):
        for key, child in tree.value.items():
            problems += _twice_in_one_file(child, f"{path}.{key}" if path else key)
    elif isinstance(tree.value, list):
        first: dict[object, tuple[int, Tree]] = {}
        for position, child in enumerate(tree.value):
            problems += _twice_in_one_file(child, f"{path}[{position}]")
            own = child.value.get("id") if isinstance(child.value, dict) else None
            if own is None or not isinstance(own.value, str):
                continue
            if own.value in first:
                reason = f"is there already: {path}[{first[own.value][0]}], line {first[own.value][1].line}"
                remedy = "give each its own id, or remove one"
                problems.append(Problem(own.file, f"{path}[{position}].id", repr(own.value), reason, remedy, own.line))
            first.setdefault(own.value, (position, own))
    return problems


def _with_kinds(merged: Tree) -> Tree:
    """An EVSE that does not say its kind is a DC one."""
    evses = merged.value.get("evses") if isinstance(merged.value, dict) else None
    if not isinstance(merged.value, dict) or evses is None or not isinstance(evses.value, list):
        return merged
    told = [
        Tree({**evse.value, "kind": Tree("DC", evse.file, evse.line)}, evse.file, evse.line)
        if isinstance(evse.value, dict) and (evse.value.get("kind") is None or evse.value["kind"].value is None)
        else evse
        for evse in evses.value
    ]
    return Tree({**merged.value, "evses": Tree(told, evses.file, evses.line)}, merged.file, merged.line)


def _place(leaves: Mapping[str, Tree], path: str, main: str) -> tuple[str, int | None]:
    """Where a value stands: its own line, else the first line of what is inside it, else the line of its owner."""
    if path in leaves:
        return leaves[path].file, leaves[path].line
    owner = path
    while owner:
        inside = [leaf for other, leaf in leaves.items() if other.startswith((f"{owner}.", f"{owner}["))]
        if inside:
            return inside[0].file, inside[0].line
        owner = owner.rpartition(".")[0]
    return main, None
