from __future__ import annotations

import csv
from array import array
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from v2g.replay.stimulus import ReplayError
from v2g.replay.thermal_plot import Points, draw
from v2g.replay.thermal_result import COLUMNS, Summary, line_of, output
from v2g.replay.thermal_run import Ahead, Row, rows
from v2g.replay.thermal_table import ThermalTable, read_table
from v2g.replay.thermal_transformer import ReplayedTransformer, read_transformer
from v2g.thermal.headroom import PermittedInterval, permitted_interval
from v2g.thermal.limits import COLD_OIL, ColdOil, Regime, SizeClass, ThermalLimits, limits_of
from v2g.thermal.losses import harmonic_load_factor, hot_ambient_factor
from v2g.thermal.model import ThermalState, steady_state, step
from v2g.thermal.parameters import COOLING, ThermalParameters


def transformer(mode: str = "DIST_ONAN", rated_kva: float | None = 400.0, **changes: Any) -> ReplayedTransformer:
    constants = COOLING[mode]
    params = ThermalParameters(
        dtheta_or_k=changes.pop("dor_k", 55.0),
        dtheta_hr_k=changes.pop("dhr_k", 23.0),
        r=changes.pop("r", 5.0),
        x=constants.x,
        y=constants.y,
        k11=constants.k11,
        k21=constants.k21,
        k22=constants.k22,
        tau_o_s=constants.tau_o_min * 60.0,
        tau_w_s=constants.tau_w_min * 60.0,
        rated_va=1e6 if rated_kva is None else rated_kva * 1e3,
    )
    given: dict[str, Any] = {
        "params": params,
        "rated_kva": rated_kva,
        "top_oil_c": None,
        "h1_k": None,
        "h2_k": None,
        "limits": limits_of(Regime.NORMAL_CYCLIC, SizeClass.DISTRIBUTION),
        "cold_oil": ColdOil(),
        "power_factor": None,
        "eddy_share": 0.1,
        "hot_ambient_losses": True,
        "upgraded_paper": False,
        "name": "",
        "remarks": (),
    }
    return ReplayedTransformer(**{**given, **changes})


def table(t_min: Sequence[float], ambient_c: Sequence[float], **columns: Sequence[float]) -> ThermalTable:
    return ThermalTable(
        path=Path("load.csv"),
        t_min=array("d", t_min),
        ambient_c=array("d", ambient_c),
        line=array("L", range(2, len(t_min) + 2)),
        **{name: array("d", values) for name, values in columns.items()},
    )


def test_the_reference_profile_is_reproduced(shared_data: Path) -> None:
    path = shared_data / "thermal" / "dynamic_dist_400kVA.csv"
    replayed = rows(read_table(path), read_transformer(path.with_suffix(".json")), ahead=None)
    with path.open(newline="") as file:
        for row, expected in zip(replayed, csv.DictReader(file), strict=True):
            assert row.t_min == float(expected["t_min"])
            assert row.k == pytest.approx(hypot(float(expected["P_kW"]), float(expected["Q_kvar"])) / 400.0, abs=1e-9)
            assert row.top_oil_c == pytest.approx(float(expected["top_oil_C"]), abs=1e-3)
            assert row.hot_spot_c == pytest.approx(float(expected["hot_spot_C"]), abs=1e-3)
            assert row.l_min_nonupgraded == pytest.approx(float(expected["L_min_nonupgraded"]), rel=1e-4, abs=1e-6)
            assert row.l_min_upgraded == pytest.approx(float(expected["L_min_upgraded"]), rel=1e-4, abs=1e-6)


def test_the_worked_example_is_reproduced_in_its_exact_form(shared_data: Path) -> None:
    with (shared_data / "thermal" / "iec_difference_equation_example_onaf.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    example = table(
        [float(row["t_min"]) for row in expected],
        [float(row["ambient"]) for row in expected],
        k=[float(row["K"]) for row in expected],
    )
    onaf = transformer("ONAF", rated_kva=None, dor_k=45.0, dhr_k=35.0, r=8.0)
    replayed = list(rows(example, onaf))
    for row, reference in zip(replayed, expected, strict=True):
        assert row.top_oil_c == pytest.approx(float(reference["top_oil_exact_zoh"]), abs=1e-3)
        assert row.hot_spot_c == pytest.approx(float(reference["hot_spot_exact_zoh"]), abs=1e-3)
        assert row.v_nonupgraded == pytest.approx(float(reference["V_nonupgraded_exact_zoh"]), rel=1e-4, abs=1e-5)
        assert row.v_upgraded == pytest.approx(float(reference["V_upgraded_exact_zoh"]), rel=1e-4, abs=1e-6)
        for life, column in ((row.l_min_nonupgraded, "L_min_nonupgraded"), (row.l_min_upgraded, "L_min_upgraded")):
            assert life == pytest.approx(float(reference[f"{column}_exact_zoh"]), rel=1e-4, abs=1e-4)
        assert (row.p_lo_kw, row.p_hi_kw) == (None, None)


def test_the_annex_step_test_is_reproduced_but_for_the_row_known_not_to(shared_data: Path) -> None:
    with (shared_data / "thermal" / "iec_annex_step_onaf_250MVA.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    ends = [0.0, *(float(row["t_min"]) for row in expected)]
    loads = [1.0, *(float(row["K_ending"]) for row in expected)]
    onaf = transformer(
        "ONAF", rated_kva=None, dor_k=38.3, dhr_k=1.4 * 14.5, r=1000.0, top_oil_c=38.3, h1_k=0.0, h2_k=0.0
    )
    replayed = list(rows(table(ends, [25.6] * len(ends), k=loads), onaf, ahead=None))[1:]
    for row, reference in zip(replayed, expected, strict=True):
        tolerance_k = 1.1 if row.t_min == 500.0 else 0.1
        assert row.top_oil_c == pytest.approx(float(reference["published_top_oil"]), abs=tolerance_k)
        assert row.hot_spot_c == pytest.approx(float(reference["published_hot_spot"]), abs=tolerance_k)


def test_every_step_case_is_reproduced(shared_data: Path) -> None:
    with (shared_data / "thermal" / "step_cases.csv").open(newline="") as file:
        expected = list(csv.DictReader(file))
    for case in sorted({row["case"] for row in expected}, key=int):
        of_case = [row for row in expected if row["case"] == case]
        first = of_case[0]
        nameplate = {"dor_k": float(first["dor_K"]), "dhr_k": float(first["dhr_K"]), "r": float(first["R"])}
        times = [float(row["t_min"]) for row in of_case]
        loads = [float(first["K0"]), *(float(row["K1"]) for row in of_case[1:])]
        steps = table(times, [float(first["ambient_C"])] * len(times), k=loads)
        replayed = rows(steps, transformer(first["mode"], rated_kva=None, **nameplate), ahead=None)
        for row, reference in zip(replayed, of_case, strict=True):
            assert row.top_oil_c == pytest.approx(float(reference["top_oil_C"]), abs=1e-3), case
            assert row.hot_spot_c == pytest.approx(float(reference["hot_spot_C"]), abs=1e-3), case


def minute_table(count: int = 40) -> ThermalTable:
    return table(
        [float(n) for n in range(count)],
        [15.0 + 0.3 * (n % 7) for n in range(count)],
        p_kw=[150.0 + 9.0 * ((n * 7) % 11) for n in range(count)],
        q_kvar=[40.0 - (n % 5) for n in range(count)],
    )


def state_of(replayed: Sequence[Row], of: ThermalTable, known: ReplayedTransformer, last: int) -> ThermalState:
    state = steady_state(known.params, replayed[0].k, of.ambient_c[0])
    for n in range(1, last + 1):
        state = step(state, known.params, replayed[n].k, of.ambient_c[n], (of.t_min[n] - of.t_min[n - 1]) * 60.0)
    return state


def agrees(row: Row, direct: PermittedInterval) -> None:
    assert row.p_lo_kw is not None
    assert row.p_hi_kw is not None
    assert row.p_lo_kw * 1e3 == pytest.approx(direct.lo_w, abs=1e-3)
    assert row.p_hi_kw * 1e3 == pytest.approx(direct.hi_w, abs=1e-3)
    assert (row.lo_source, row.hi_source, row.feasible) == (direct.lo_source, direct.hi_source, direct.feasible)


@pytest.mark.parametrize("last", [0, 7, 24, 30, 39])
def test_headroom_at_a_row_is_that_of_the_files_next_fifteen_minutes(last: int) -> None:
    of, known = minute_table(), transformer()
    replayed = list(rows(of, known))
    ahead = [min(last + minute, 39) for minute in range(1, 16)]
    direct = permitted_interval(
        state_of(replayed, of, known, last),
        known.params,
        known.limits,
        base_w=[of.p_kw[n] * 1e3 for n in ahead],
        base_var=[of.q_kvar[n] * 1e3 for n in ahead],
        ambient_c=[of.ambient_c[n] for n in ahead],
    )
    agrees(replayed[last], direct)


def test_the_reference_cases_of_headroom_come_out_of_their_profiles(shared_data: Path) -> None:
    with (shared_data / "thermal" / "headroom_cases_profiles.csv").open(newline="") as file:
        profiles = list(csv.DictReader(file))
    with (shared_data / "thermal" / "headroom_cases.csv").open(newline="") as file:
        cases = [case for case in csv.DictReader(file) if case["feasible"] == "1"]
    assert cases
    for case in cases:
        ahead = [row for row in profiles if row["case"] == case["case"]]
        base_kw = [float(row["base_P_kW"]) for row in ahead]
        ambient_c = [float(row["ambient_C"]) for row in ahead]
        of = table(
            range(16),
            [ambient_c[0], *ambient_c],
            p_kw=[base_kw[0], *base_kw],
            q_kvar=[float(case["Q_kvar"])] * 16,
        )
        known = transformer(
            case["mode"],
            rated_kva=float(case["S_rated_kVA"]),
            dor_k=float(case["dor_K"]),
            dhr_k=float(case["dhr_K"]),
            r=float(case["R"]),
            top_oil_c=float(case["top_oil0"]),
            h1_k=float(case["h1_0"]),
            h2_k=float(case["h2_0"]),
            limits=ThermalLimits(
                hot_spot_c=float(case["hot_spot_lim"]),
                top_oil_c=float(case["top_oil_lim"]),
                k_pu=float(case["K_lim"]),
            ),
        )
        first = next(rows(of, known))
        assert first.p_lo_kw == pytest.approx(float(case["P_lo_kW"]), abs=0.05), case
        assert first.p_hi_kw == pytest.approx(float(case["P_hi_kW"]), abs=0.05), case


def test_persistence_knows_only_the_row() -> None:
    of, known = minute_table(), transformer()
    replayed = list(rows(of, known, ahead=Ahead.PERSISTENCE))
    direct = permitted_interval(
        state_of(replayed, of, known, 11),
        known.params,
        known.limits,
        base_w=of.p_kw[11] * 1e3,
        base_var=of.q_kvar[11] * 1e3,
        ambient_c=of.ambient_c[11],
    )
    agrees(replayed[11], direct)


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.floats(0.05, 40.0), min_size=2, max_size=40), st.integers(0, 38))
def test_rows_of_any_length_are_averaged_over_each_minute(spans_min: list[float], at: int) -> None:
    at %= len(spans_min)
    times = [0.0]
    for span_min in spans_min:
        times.append(times[-1] + span_min)
    p_kw = [100.0 + 17.0 * (n % 9) for n in range(len(times))]
    of = table(times, [20.0] * len(times), p_kw=p_kw, q_kvar=[0.0] * len(times))
    known = transformer()
    replayed = list(rows(of, known))

    def mean_kw(begin_min: float, end_min: float) -> float:
        total = 0.0
        for n, (earlier, later) in enumerate(pairwise([*times, float("inf")]), 1):
            inside = min(later, end_min) - max(earlier, begin_min)
            total += max(0.0, inside) * p_kw[min(n, len(p_kw) - 1)]
        return total / (end_min - begin_min)

    now_min = times[at]
    direct = permitted_interval(
        state_of(replayed, of, known, at),
        known.params,
        known.limits,
        base_w=[mean_kw(now_min + n, now_min + n + 1.0) * 1e3 for n in range(15)],
        ambient_c=20.0,
    )
    row = replayed[at]
    assert row.p_lo_kw is not None
    assert row.p_hi_kw is not None
    assert row.p_lo_kw * 1e3 == pytest.approx(direct.lo_w, abs=2.0)
    assert row.p_hi_kw * 1e3 == pytest.approx(direct.hi_w, abs=2.0)


def test_chunks_leave_no_seam() -> None:
    count = 4200
    of = minute_table(count)
    known = transformer()
    seam = list(rows(of, known))[4090:4100]
    part = table(of.t_min[4085:], of.ambient_c[4085:], p_kw=of.p_kw[4085:], q_kvar=of.q_kvar[4085:])
    later = list(rows(part, known))[5:15]
    for one, other in zip(seam, later, strict=True):
        # K binds, which depends on the base load ahead alone.
        assert (one.lo_source, one.hi_source) == (other.lo_source, other.hi_source)
        assert one.p_hi_kw == pytest.approx(other.p_hi_kw, abs=1e-6)


def test_reverse_flow_warms_as_forward_flow_and_leaves_mirrored_room() -> None:
    times = [float(n) for n in range(30)]
    forward = list(rows(table(times, [20.0] * 30, k=[0.9] * 30), transformer()))
    reverse = list(rows(table(times, [20.0] * 30, k=[-0.9] * 30), transformer()))
    for one, other in zip(forward, reverse, strict=True):
        assert one.hot_spot_c == other.hot_spot_c
        assert one.k == other.k == 0.9
        assert one.p_hi_kw == pytest.approx(-other.p_lo_kw, abs=2e-3)  # type: ignore[operator]


def test_a_power_factor_stands_in_for_reactive_power() -> None:
    times = [0.0, 60.0]
    stated = list(rows(table(times, [20.0] * 2, p_kw=[-160.0] * 2), transformer(power_factor=0.8)))
    measured = list(rows(table(times, [20.0] * 2, p_kw=[-160.0] * 2, q_kvar=[120.0] * 2), transformer()))
    assert stated[1].k == pytest.approx(0.5)
    assert stated[1].p_lo_kw == pytest.approx(measured[1].p_lo_kw)


def test_harmonics_and_hot_ambient_raise_the_losses_of_their_rows_only() -> None:
    times = [float(n) for n in range(0, 600, 60)]
    known = transformer()
    hot = [20.0] * 5 + [55.0] * 5
    f_hl = [1.0] * 5 + [4.0] * 5
    of = table(times, hot, k=[0.8] * 10, f_hl=f_hl)
    replayed = list(rows(of, known, ahead=None))
    factor = harmonic_load_factor(4.0, 0.1) * hot_ambient_factor(55.0)
    state = steady_state(known.params, 0.8, 20.0)
    for n in range(1, 10):
        params = replace(known.params, load_loss_factor=factor if n >= 5 else 1.0)
        state = step(state, params, 0.8, hot[n], 3600.0)
    assert replayed[-1].hot_spot_c == pytest.approx(state.hot_spot_c, abs=1e-9)
    bare = list(rows(table(times, hot, k=[0.8] * 10), transformer(hot_ambient_losses=False), ahead=None))
    plain = steady_state(known.params, 0.8, 20.0)
    for n in range(1, 10):
        plain = step(plain, known.params, 0.8, hot[n], 3600.0)
    assert bare[-1].hot_spot_c == pytest.approx(plain.hot_spot_c, abs=1e-9)
    assert bare[-1].hot_spot_c < replayed[-1].hot_spot_c


def test_cold_oil_narrows_the_permitted_power_until_it_warms() -> None:
    times = [float(n * 10) for n in range(60)]
    of = table(times, [-38.0] * 60, k=[0.2] * 60)
    cold = list(rows(of, transformer(top_oil_c=-38.0, h1_k=0.0, h2_k=0.0)))
    warm = list(rows(of, transformer(top_oil_c=0.0, h1_k=0.0, h2_k=0.0)))
    assert cold[0].p_hi_kw == pytest.approx(400.0 * (0.5 - 0.2), abs=0.01)
    assert warm[0].p_hi_kw == pytest.approx(400.0 * (1.5 - 0.2), abs=0.01)
    assert [row.p_hi_kw for row in cold] == sorted(row.p_hi_kw or 0.0 for row in cold)


def test_a_gap_runs_on_with_the_inputs_of_the_row_after_it() -> None:
    known = transformer()
    gap = list(rows(table([0.0, 1.0, 600.0], [20.0] * 3, k=[0.2, 0.2, 1.0]), known, ahead=None))
    one = step(steady_state(known.params, 0.2, 20.0), known.params, 1.0, 20.0, 599.0 * 60.0)
    assert gap[-1].hot_spot_c == pytest.approx(one.hot_spot_c, abs=1e-9)
    assert gap[-1].l_min_nonupgraded == pytest.approx(gap[1].l_min_nonupgraded + gap[-1].v_nonupgraded * 599.0)


def test_a_hot_spot_that_cannot_be_is_refused_by_line() -> None:
    of = table([0.0, 600.0], [20.0] * 2, k=[1.0, 9.0])
    with pytest.raises(ReplayError, match=r"load.csv, line 3, K: 9: the hot-spot would be \d+ °C; see"):
        list(rows(of, transformer(), ahead=None))


def test_harmonics_beyond_what_losses_can_grow_by_are_refused_by_line() -> None:
    of = table([0.0, 1.0], [20.0] * 2, k=[0.5] * 2, f_hl=[1.0, 2000.0])
    with pytest.raises(ReplayError, match=r"load.csv, line 3, F_HL: 2000: .*see F_HL here and eddy_share"):
        list(rows(of, transformer(), ahead=None))


def test_constants_that_forbid_a_look_ahead_are_refused_with_the_way_out() -> None:
    known = transformer("ONAN_RESTRICTED")
    known = replace(known, params=replace(known.params, k21=5.0, k22=1.0, tau_o_s=600.0, tau_w_s=60.0))
    of = minute_table(3)
    with pytest.raises(ReplayError, match="--no-headroom"):
        list(rows(of, known))
    assert len(list(rows(of, known, ahead=None))) == 3


def test_printed_powers_are_permitted_and_the_line_has_every_column() -> None:
    row = Row(1.5, 20.0, 30.0, 0.5, 0.001, 0.0001, 1.0, 0.1, -10.0006, 10.0006, True, "", "")
    cells = dict(zip(COLUMNS, line_of(row).strip().split(","), strict=True))
    assert (cells["P_lo_kW"], cells["P_hi_kW"]) == ("-10.000", "10.000")
    cells = dict(zip(COLUMNS, line_of(row._replace(p_lo_kw=None, p_hi_kw=-0.0)).strip().split(","), strict=True))
    assert (cells["P_lo_kW"], cells["P_hi_kW"]) == ("", "0.000")


def test_an_output_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("before")

    def fail() -> None:
        with output(path) as file:
            file.write("half")
            raise ReplayError("broken")

    with pytest.raises(ReplayError, match="broken"):
        fail()
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.csv"]
    with output(path) as file:
        file.write("whole")
    assert path.read_text() == "whole"


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    def fail() -> None:
        with output(tmp_path / "none" / "out.csv"):
            pass

    with pytest.raises(ReplayError, match="name a file in a directory"):
        fail()


def test_the_summary_finds_the_tightest_times() -> None:
    of, known = minute_table(), transformer()
    summary = Summary(known.limits, upgraded_paper=True)
    replayed = list(summary.watch(rows(of, known)))
    plain = summary.plain([], [])
    assert plain["rows"] == 40
    assert plain["hot_spot_C"]["max"] == max(row.hot_spot_c for row in replayed)
    assert plain["least_charge"]["P_kW"] == min(row.p_hi_kw or 0.0 for row in replayed)
    assert plain["least_discharge"]["P_kW"] == max(row.p_lo_kw or 0.0 for row in replayed)
    assert plain["mean_ageing_rate"] == pytest.approx(replayed[-1].l_min_upgraded / 39.0)
    assert plain["over_a_limit_min"] == 0.0


@pytest.mark.soak
def test_a_thinned_picture_keeps_every_peak(tmp_path: Path) -> None:
    count = 12_000
    loads = [0.4] * count
    loads[7000:7010] = [2.0] * 10
    known = transformer()
    points = Points(count)
    replayed = list(points.watch(rows(table(range(count), [20.0] * count, k=loads), known, ahead=None)))
    assert len(points.rows) <= 4000
    assert max(row.hot_spot_c for row in points.rows) == max(row.hot_spot_c for row in replayed)
    path = tmp_path / "out.png"
    draw(path, points.rows, known.limits, "title")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_cold_oil_is_named_as_what_binds() -> None:
    of = table([0.0, 1.0], [-38.0] * 2, k=[0.2] * 2)
    first = next(rows(of, transformer(top_oil_c=-38.0, h1_k=0.0, h2_k=0.0)))
    assert first.hi_source == COLD_OIL
