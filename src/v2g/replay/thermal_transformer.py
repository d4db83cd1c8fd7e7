"""The transformer file of ``replay thermal``: nameplate or own constants, initial state, limits. YAML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from v2g.config.problems import ConfigError, Problem
from v2g.config.tree import MAX_FILE_BYTES, Tree, parse
from v2g.config.validate import validate
from v2g.replay.stimulus import ReplayError
from v2g.thermal.limits import ColdOil, Regime, SizeClass, ThermalLimits, limits_of, size_class
from v2g.thermal.losses import loss_ratio_at_tap
from v2g.thermal.model import ThermalState
from v2g.thermal.parameters import COOLING, ParameterError, ThermalParameters

STEADY: Final = "steady state of row 0"
_DEFAULT_EDDY_SHARE: Final = 0.1
_NO_RATING_VA: Final = 1e6
"""Stands for a rating that is not stated; the temperatures depend on K alone."""
_CONSTANTS: Final = ("x", "y", "k11", "k21", "k22", "tau_o_min", "tau_w_min")
_FIELDS: Final = {
    "dor_K": ("dtheta_or_k", 1.0),
    "dhr_K": ("dtheta_hr_k", 1.0),
    "R": ("r", 1.0),
    "x": ("x", 1.0),
    "y": ("y", 1.0),
    "k11": ("k11", 1.0),
    "k21": ("k21", 1.0),
    "k22": ("k22", 1.0),
    "tau_o_min": ("tau_o_s", 60.0),
    "tau_w_min": ("tau_w_s", 60.0),
}
"""Key of the file -> field of :class:`ThermalParameters` and factor."""


class _Initial(
    msgspec.Struct, frozen=True, kw_only=True, rename={"top_oil_c": "top_oil_C", "h1_k": "h1_K", "h2_k": "h2_K"}
):
    top_oil_c: Annotated[float, Meta(ge=-60, le=200)]
    h1_k: Annotated[float, Meta(ge=0, le=300)] | None = None
    h2_k: Annotated[float, Meta(ge=0, le=300)] | None = None


class _Limits(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"hot_spot_c": "hot_spot_C", "top_oil_c": "top_oil_C", "k_pu": "K"},
):
    hot_spot_c: float | None = None
    top_oil_c: float | None = None
    k_pu: float | None = None


class _ColdOil(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"full_load_above_c": "full_load_above_C", "ramp_k": "ramp_K", "k_pu": "K"},
):
    full_load_above_c: Annotated[float, Meta(ge=-60, le=40)] = -20.0
    ramp_k: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    k_pu: Annotated[float, Meta(ge=0, le=1.5)] = 0.5


class _Tap(msgspec.Struct, frozen=True, kw_only=True, rename={"r_at_end": "R_at_end"}):
    position: int
    principal: int
    end: int
    r_at_end: float


class _File(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"dor_k": "dor_K", "dhr_k": "dhr_K", "r": "R", "rated_kva": "S_rated_kVA"},
):
    dor_k: float
    dhr_k: float
    r: float
    rated_kva: float | None = None
    mode: str | None = None
    x: float | None = None
    y: float | None = None
    k11: float | None = None
    k21: float | None = None
    k22: float | None = None
    tau_o_min: float | None = None
    tau_w_min: float | None = None
    initial: _Initial | None = None
    limits: _Limits = _Limits()
    regime: Regime = Regime.NORMAL_CYCLIC
    cold_oil: _ColdOil = _ColdOil()
    tap: _Tap | None = None
    power_factor: Annotated[float, Meta(gt=0, le=1)] | None = None
    eddy_share: Annotated[float, Meta(ge=0, le=1)] | None = None
    hot_ambient_losses: bool = True
    upgraded_paper: bool = False
    name: str = ""
    note: str = ""
    convention: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedTransformer:
    """What a transformer file says."""

    params: ThermalParameters
    rated_kva: float | None
    """None: not stated; then only K can be replayed, and there is no headroom in kW."""
    top_oil_c: float | None
    """Initial; None for the steady state of row 0."""
    h1_k: float | None
    h2_k: float | None
    limits: ThermalLimits
    cold_oil: ColdOil
    power_factor: float | None
    """Counts where the table has no Q_kvar."""
    eddy_share: float
    hot_ambient_losses: bool
    """Above 40 °C ambient, losses grow as in :func:`v2g.thermal.losses.hot_ambient_factor`."""
    upgraded_paper: bool
    name: str
    remarks: tuple[str, ...]

    def initial_state(self, steady: ThermalState) -> ThermalState:
        """The stated one, or ``steady``; winding rises that are not stated are those of ``steady``."""
        if self.top_oil_c is None:
            return steady
        return ThermalState(
            self.top_oil_c,
            steady.h1_k if self.h1_k is None else self.h1_k,
            steady.h2_k if self.h2_k is None else self.h2_k,
        )


def read_transformer(path: Path) -> ReplayedTransformer:
    """Raises :class:`~v2g.replay.stimulus.ReplayError` naming file, line, key, value and remedy of every mistake."""
    try:
        tree = parse(_text(path), str(path))
        if isinstance(tree.value, dict):
            initial = tree.value.get("initial")
            if initial is not None and initial.value == STEADY:
                tree = Tree({key: child for key, child in tree.value.items() if key != "initial"}, tree.file, tree.line)
        problems = validate(tree, _File)
        if problems:
            raise ConfigError(problems)
        return _transformer(tree, msgspec.convert(tree.plain(), _File))
    except ConfigError as error:
        raise ReplayError(str(error)) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ReplayError(f"{path}: more than {MAX_FILE_BYTES >> 20} MB; this is no transformer file")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    except UnicodeDecodeError as error:
        raise ReplayError(f"{path}: byte {error.start} is not UTF-8; write the transformer file as text") from None


class _Keys:
    """Where each key stands, for errors."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._map = tree.value if isinstance(tree.value, dict) else {}
        self.problems: list[Problem] = []

    def has(self, key: str) -> bool:
        return key in self._map and self._map[key].value is not None

    def add(self, key: str, reason: str, remedy: str) -> None:
        child = self._map.get(key.partition(".")[0], self._tree)
        value = "" if isinstance(child.value, dict) else str(child.value)
        self.problems.append(Problem(child.file, key, value, reason, remedy, child.line))

    def stop_if_wrong(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


def _transformer(tree: Tree, file: _File) -> ReplayedTransformer:
    keys = _Keys(tree)
    remarks: list[str] = []
    params = _parameters(keys, file)
    if file.tap is not None:
        try:
            r = loss_ratio_at_tap(
                file.tap.position, principal=file.tap.principal, r=file.r, end=file.tap.end, r_at_end=file.tap.r_at_end
            )
            params = replace(params, r=r)
            remarks.append(f"R = {r:g} at tap {file.tap.position}")
        except ParameterError as error:
            keys.add("tap", str(error), "write position, principal, end and R_at_end as the nameplate has them")
    size = _size(file, remarks)
    table = limits_of(file.regime, size)
    stated = file.limits
    limits = table
    try:
        limits = ThermalLimits(
            hot_spot_c=_or(stated.hot_spot_c, table.hot_spot_c),
            top_oil_c=_or(stated.top_oil_c, table.top_oil_c),
            k_pu=_or(stated.k_pu, table.k_pu),
        )
    except ParameterError as error:
        keys.add("limits", str(error), "write hot_spot_C and top_oil_C in °C, K per unit of S_rated_kVA")
    initial = file.initial
    keys.stop_if_wrong()
    return ReplayedTransformer(
        params=params,
        rated_kva=file.rated_kva,
        top_oil_c=None if initial is None else initial.top_oil_c,
        h1_k=None if initial is None else initial.h1_k,
        h2_k=None if initial is None else initial.h2_k,
        limits=limits,
        cold_oil=ColdOil(
            full_load_above_c=file.cold_oil.full_load_above_c, ramp_k=file.cold_oil.ramp_k, k_pu=file.cold_oil.k_pu
        ),
        power_factor=file.power_factor,
        eddy_share=_or(file.eddy_share, _DEFAULT_EDDY_SHARE),
        hot_ambient_losses=file.hot_ambient_losses,
        upgraded_paper=file.upgraded_paper,
        name=file.name,
        remarks=tuple(remarks),
    )


def _parameters(keys: _Keys, file: _File) -> ThermalParameters:
    mode = "DIST_ONAN" if file.mode is None else file.mode
    missing = [name for name in _CONSTANTS if getattr(file, name) is None]
    if mode not in COOLING:
        keys.add("mode", "is no cooling mode", f"write one of {', '.join(COOLING)}")
    if file.mode is None and missing:
        keys.add(
            "mode",
            f"is missing, and so are {_listed(missing)}",
            f"write 'mode: ' with one of {', '.join(COOLING)}, or all of {', '.join(_CONSTANTS)}",
        )
    if file.rated_kva is not None and not 1.0 <= file.rated_kva <= 2e6:
        low = 0.0 < file.rated_kva < 1.0
        keys.add(
            "S_rated_kVA",
            "is outside 1..2000000 kVA",
            f"give kVA: {file.rated_kva * 1e3:g} if this is MVA" if low else "give kVA, as the nameplate does",
        )
    keys.stop_if_wrong()
    constants = COOLING[mode]
    params = ThermalParameters(
        dtheta_or_k=55.0,
        dtheta_hr_k=23.0,
        r=5.0,
        x=constants.x,
        y=constants.y,
        k11=constants.k11,
        k21=constants.k21,
        k22=constants.k22,
        tau_o_s=constants.tau_o_min * 60.0,
        tau_w_s=constants.tau_w_min * 60.0,
        rated_va=_NO_RATING_VA if file.rated_kva is None else file.rated_kva * 1e3,
    )
    values = {
        "dor_K": file.dor_k,
        "dhr_K": file.dhr_k,
        "R": file.r,
        **{name: getattr(file, name) for name in _CONSTANTS},
    }
    for key, value in values.items():
        if value is None:
            continue
        name, factor = _FIELDS[key]
        try:
            params = replace(params, **{name: value * factor})
        except ParameterError as error:
            keys.add(key, str(error), "correct it from the nameplate, the test report or the table of cooling modes")
    keys.stop_if_wrong()
    return params


def _size(file: _File, remarks: list[str]) -> SizeClass:
    if file.rated_kva is not None:
        return size_class(file.rated_kva * 1e3)
    size = SizeClass.DISTRIBUTION if (file.mode or "").startswith("DIST") else SizeClass.MEDIUM
    remarks.append(
        f"S_rated_kVA is not stated: limits are those of {size} transformers, and P_lo_kW and P_hi_kW stay empty"
    )
    return size


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _or(own: float | None, other: float) -> float:
    return other if own is None else own
