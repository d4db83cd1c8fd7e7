"""What a calibration proposes, as a file that is not read, and how it becomes the drop-in that is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from v2g.config.loader import Loaded
    from v2g.thermal.calibration import Calibration
    from v2g.thermal.parameters import ThermalParameters

PROPOSAL_FILE = "thermal-calibration.proposed.yaml"
"""Beside ``conf.d``, where nothing but v2g.yaml is read."""
_BASIS = "# fitted with: "
_FIELDS = {
    "transformer.top_oil_rise_k": "dtheta_or_k",
    "transformer.hot_spot_gradient_k": "dtheta_hr_k",
    "transformer.constants.tau_o_min": "tau_o_s",
    "transformer.constants.x": "x",
}


class ProposalError(Exception):
    """The proposal cannot be accepted. The message says why, and the remedy."""


def changes_of(found: Calibration) -> dict[str, float]:
    """Path of a setting -> its value, rounded as it is written; what the data do not tell is left as it is."""
    changes: dict[str, float] = {"transformer.top_oil_rise_k": round(found.dtheta_or.value, 2)}
    if found.hot_spot.measured:
        changes["transformer.hot_spot_gradient_k"] = round(found.hot_spot.gradient_k, 2)
    if not found.tau_o.kept:
        changes["transformer.constants.tau_o_min"] = round(found.tau_o.value, 1)
    if not found.x.kept:
        changes["transformer.constants.x"] = round(found.x.value, 3)
    return changes


def proposal_text(found: Calibration, start: ThermalParameters, head: Sequence[str]) -> str:
    """YAML with ``head`` as its comment, and what the fit began from."""
    import yaml

    settings: dict[str, Any] = {}
    for path, value in changes_of(found).items():
        *sections, name = path.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    # A file's name may hold anything, the end of a line too.
    lines = [*(f"# {' '.join(line.splitlines())}".rstrip() for line in head), _BASIS + _basis(start), ""]
    return "\n".join(lines) + yaml.safe_dump(settings, sort_keys=False)


def write_proposal(file: Path, text: str) -> None:
    """Raises OSError."""
    from v2g.host.files import replace_file

    replace_file(file, text.encode())


def accept(config_dir: Path, file: Path) -> tuple[Loaded, dict[str, float], Path]:
    """Write the proposal in ``file`` into the drop-in of calibrations, after the merged configuration was checked.

    Returns the configuration that holds then, what was set, and the drop-in. Raises :class:`ProposalError`,
    :class:`~v2g.config.problems.ConfigError`, OSError; then nothing is changed.
    """
    from v2g.config.loader import load
    from v2g.config.thermal import thermal_parameters
    from v2g.config.writer import CALIBRATION_DROPIN, dropin_path, write_dropin
    from v2g.thermal.parameters import ParameterError

    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProposalError(f"there is no proposal in {file}: calibrate first, without --accept") from None
    except UnicodeDecodeError:
        raise ProposalError(f"{file} is no UTF-8 text: calibrate again, without --accept") from None
    changes = _changes(file, text)
    loaded = load(config_dir)
    start = thermal_parameters(loaded.config.transformer)
    if _BASIS + _basis(start) not in text.splitlines():
        raise ProposalError(
            f"{file} was fitted with other settings of the transformer than now hold: calibrate again, without --accept"
        )
    try:
        replace(
            start,
            **{_FIELDS[path]: value * (60.0 if path.endswith("_min") else 1.0) for path, value in changes.items()},
        )
    except ParameterError as error:
        raise ProposalError(f"{file}: {error}; calibrate again, without --accept") from None
    dropin = dropin_path(config_dir, CALIBRATION_DROPIN)
    for path in changes:
        origin = Path(loaded.origin.get(path, ""))
        if origin.parent == dropin.parent and origin.name > dropin.name:
            raise ProposalError(f"{origin} sets {path} and wins over {dropin.name}: take it out there, then accept")
    loaded = write_dropin(config_dir, changes, CALIBRATION_DROPIN)
    # It is in force; a proposal that stays behind was fitted with other settings and is refused.
    with contextlib.suppress(OSError):
        file.unlink()
    return loaded, changes, dropin


def _changes(file: Path, text: str) -> dict[str, float]:
    from v2g.config.tree import parse

    plain = parse(text, str(file)).plain()
    changes: dict[str, float] = {}
    for path, value in _leaves(plain, ""):
        if path not in _FIELDS or isinstance(value, bool) or not isinstance(value, int | float):
            raise ProposalError(
                f"{file}: {path or 'its content'} is nothing that a calibration proposes; it may hold "
                f"{', '.join(_FIELDS)}, as numbers. Calibrate again, without --accept"
            )
        changes[path] = float(value)
    if not changes:
        raise ProposalError(f"{file} proposes nothing: calibrate again, without --accept")
    return changes


def _leaves(value: object, path: str) -> list[tuple[str, object]]:
    if not isinstance(value, dict):
        return [(path, value)]
    return [leaf for key, child in value.items() for leaf in _leaves(child, f"{path}.{key}" if path else str(key))]


def _basis(start: ThermalParameters) -> str:
    return " ".join(f"{name}={value:.6g}" for name, value in asdict(start).items())
