"""Vehicles of different state of charge share an order; one that lies, one that is silent, one that is deaf."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import time
from typing import Any

import pytest

from v2g.dispatch.soc_watch import discharge_found_wh

pytestmark = pytest.mark.soak

FOUR = (
    "dc,v2g,soc=80,capacity=60kWh",
    "dc,v2g,soc=45,capacity=60kWh",
    "ac,v2g,soc=60,capacity=60kWh,phases=3",
    "ac,v2g,soc=90,capacity=60kWh,phases=1",
)
E1, E2, E3, E4 = (f"US*V2G*E{number}" for number in range(1, 5))
LIAR_WH = 4_000.0
ODD = (
    "dc,v2g,soc=60,lie-soc=90,capacity=4kWh",
    "dc,v2g,soc=55,no-soc,capacity=60kWh",
    "ac,ignore-limits,phases=1,soc=40",
    "dc,v2g,soc=70,capacity=60kWh,departs=-1h",
)


def vehicles(*specs: str) -> list[str]:
    return [word for spec in specs for word in ("--vehicle", spec)]


def measured_w(site: Any) -> dict[str, float]:
    return {evse_id: charger.ac_w for evse_id, charger in site.measure().chargers.items()}


def told(site: Any, name: str, code: str) -> list[str]:
    return [line for line in site.log(name).splitlines() if f": {code} " in line]


def written_at_s(line: str) -> float:
    return dt.datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


@pytest.fixture(scope="module")
def four(simulate: Any) -> Any:
    site = simulate(*vehicles(*FOUR))
    site.wait_for("four vehicles in the charge loop", site.charge_loops, 90.0)
    return site


class TestFourVehicles:
    def test_they_give_in_proportion_to_what_each_has_above_its_minimum(self, four: Any, figures: Any) -> None:
        answer = four.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        four.wait_for("10 kW of discharge", lambda: four.steady(-10e3), 15.0)
        time.sleep(1.0)
        found = measured_w(four)
        # 30, 9, 18 and 36 of 93 kWh above 30 %.
        for evse_id, spare in ((E1, 30.0), (E2, 9.0), (E3, 18.0), (E4, 36.0)):
            wanted_w = -10e3 * spare / 93.0
            assert found[evse_id] == pytest.approx(wanted_w, rel=0.04, abs=60.0), (evse_id, found)
            figures.add(f"sharing: {evse_id} at min-SoC 30 %, kW", f"{wanted_w / 1e3:.2f} ± 4 %", found[evse_id] / 1e3)
        table = [line.split() for line in answer.stdout.splitlines() if line.startswith("US*V2G")]
        assert [row[2:8] for row in table] == [
            [soc, "%", "30", "%", spare, "kWh"]
            for soc, spare in (("80", "30.0"), ("45", "9.0"), ("60", "18.0"), ("90", "36.0"))
        ]

    def test_a_higher_minimum_moves_the_shares_within_seconds_and_says_for_whom_it_matters(
        self, four: Any, figures: Any
    ) -> None:
        began_s = time.monotonic()
        answer = four.command("v2g-config", "--min-soc", "50")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert re.search(rf"{re.escape(E2)} .*at 45 %, does not discharge", answer.stdout)
        four.wait_for("E2 at rest", lambda: abs(measured_w(four)[E2]) < 60.0, 5.0)
        figures.add(
            "sharing: E2 at rest after v2g-config --min-soc 50, its start included, s", "", time.monotonic() - began_s
        )
        four.wait_for("10 kW of discharge by the others", lambda: four.steady(-10e3), 15.0)
        time.sleep(1.0)
        found = measured_w(four)
        # 18, 6 and 24 of 48 kWh above 50 %.
        for evse_id, spare in ((E1, 18.0), (E3, 6.0), (E4, 24.0)):
            wanted_w = -10e3 * spare / 48.0
            assert found[evse_id] == pytest.approx(wanted_w, rel=0.04, abs=60.0), (evse_id, found)
            figures.add(f"sharing: {evse_id} at min-SoC 50 %, kW", f"{wanted_w / 1e3:.2f} ± 4 %", found[evse_id] / 1e3)
        why = four.evse(E2)["bound_by"]
        assert why.startswith("min-SoC 50 % (site)"), why

    def test_an_evse_has_a_minimum_of_its_own(self, four: Any) -> None:
        assert four.command("v2g-config", "--min-soc", "85", "--evse", E1).returncode == 0
        four.wait_for("E1 at rest", lambda: abs(measured_w(four)[E1]) < 60.0, 5.0)
        assert four.command("v2g-config", "--min-soc", "--evse", E1, "--unset").returncode == 0
        four.wait_for("E1 gives again", lambda: measured_w(four)[E1] < -1_000.0, 10.0)

    def test_the_last_of_two_operators_is_obeyed_and_both_are_on_record(self, four: Any) -> None:
        first = four.command("v2g-control", "--dispatch", "--mode=discharge", "--power=4kW")
        second = four.command("v2g-control", "--dispatch", "--mode=charge", "--power=6kW")
        order = re.search(r"\(order (\d+)\)", first.stdout)
        assert order is not None, first.stdout
        assert f"replaces order {order[1]} by " in second.stdout
        four.wait_for("6 kW of charge", lambda: four.steady(6e3), 15.0)
        audit = [line for line in four.log("audit.log").splitlines() if "method=dispatch" in line]
        assert len(audit) >= 3

    def test_an_order_ends_by_itself_and_power_with_it(self, four: Any, figures: Any) -> None:
        four.command("v2g-control", "cancel", "--yes")
        four.wait_for("no power", four.no_power, 10.0)
        ordered = four.command("v2g-control", "--dispatch", "--mode=charge", "--power=5kW", "--duration=8s")
        began_s = time.monotonic()
        assert ordered.returncode == 0, ordered.stdout
        four.wait_for("5 kW of charge", lambda: four.steady(5e3), 7.0)
        four.wait_for("no power", four.no_power, 12.0)
        figures.add("an order of 8 s: no power after, s", "8..10", time.monotonic() - began_s)
        assert json.loads(four.command("v2g-control", "orders", "--json").stdout) == []

    def test_a_cap_of_the_utility_holds_while_it_is_valid(self, four: Any) -> None:
        assert four.command("v2g-control", "--dispatch", "--mode=charge", "--power=10kW").returncode == 0
        four.wait_for("10 kW of charge", lambda: four.steady(10e3), 15.0)
        answer = four.command("v2g-control", "signal", "set", "--kind=cap", "--value=3kW", "--duration=8s")
        assert answer.returncode == 0, answer.stdout + answer.stderr
        four.wait_for("3 kW of charge", lambda: four.steady(3e3), 5.0)
        why = {evse["bound_by"] for evse in four.status()["evses"] if evse["granted_w"]}
        assert any("utility" in str(reason) for reason in why), why
        four.wait_for("10 kW of charge again", lambda: four.steady(10e3), 25.0)
        four.command("v2g-control", "cancel", "--yes")


@pytest.fixture(scope="module")
def odd(simulate: Any) -> Any:
    site = simulate(*vehicles(*ODD))
    site.wait_for("the vehicles in their charge loops", lambda: site.charge_loops(1, 2, 4), 90.0)
    return site


class TestOddVehicles:
    def test_one_that_ignores_its_limit_is_switched_off_within_seconds(self, odd: Any, figures: Any) -> None:
        odd.wait_for("its contactor open", lambda: told(odd, "comms.log", "OVERDRAW"), 30.0)
        ignored, off = (told(odd, "comms.log", code)[0] for code in ("LIMIT_IGNORED", "OVERDRAW"))
        assert E3 in ignored
        assert E3 in off
        took_s = written_at_s(off) - written_at_s(ignored)
        figures.add("a vehicle that ignores its limit: switched off by its contactor after, s", "2..3", took_s)
        assert took_s < 3.0
        odd.wait_for("no power there", lambda: abs(measured_w(odd)[E3]) < 100.0, 6.0)
        odd.wait_for("why", lambda: "more than it was told" in str(odd.evse(E3)["fault"]), 5.0)

    def test_a_departure_in_the_past_is_told_and_assumed(self, odd: Any) -> None:
        text = odd.command("v2g-control", "vehicles").stdout
        assert re.search(rf"{re.escape(E4)}: DepartureTime was .* ago", text), text
        assert "(assumed)" in next(line for line in text.splitlines() if line.startswith(E4))

    def test_one_without_a_state_of_charge_gives_within_its_own_range_only(self, odd: Any) -> None:
        order = odd.command("v2g-control", "--dispatch", "--mode=discharge", "--power=2kW", "--evse", E2)
        assert order.returncode == 0, order.stdout
        line = next(row for row in odd.command("v2g-control", "vehicles").stdout.splitlines() if row.startswith(E2))
        assert " ? " in line
        odd.wait_for("2 kW of discharge", lambda: measured_w(odd)[E2] < -1_900.0, 10.0)
        odd.command("v2g-control", "cancel", "--yes")

    @pytest.mark.long
    def test_a_state_of_charge_that_does_not_fall_is_found_by_the_meter_and_discharge_stops(
        self, odd: Any, figures: Any
    ) -> None:
        before_wh = odd.charger(E1).exported_wh
        assert (
            odd.command("v2g-control", "--dispatch", "--mode=discharge", "--power=10kW", "--evse", E1).returncode == 0
        )
        odd.wait_for("SOC_IMPLAUSIBLE in comms.log", lambda: told(odd, "comms.log", "SOC_IMPLAUSIBLE"), 300.0)
        odd.wait_for("no power there", lambda: abs(measured_w(odd)[E1]) < 100.0, 5.0)
        given_wh = odd.charger(E1).exported_wh - before_wh
        figures.add("a lying vehicle of 4 kWh: found after, Wh", f"{discharge_found_wh(LIAR_WH):.0f}", given_wh)
        assert given_wh < 1.1 * discharge_found_wh(LIAR_WH) + 50.0
        why = odd.evse(E1)["bound_by"]
        assert "SoC implausible" in why, why
        charge = odd.command("v2g-control", "--dispatch", "--mode=charge", "--power=2kW", "--evse", E1)
        assert charge.returncode == 0, charge.stdout
        odd.command("v2g-control", "cancel", "--yes")


METERS = """
dispatch: {default_mode: auto}
utility:
  meter_feed:
    meters: [house-1, house-2]
    max_age_s: 4
"""


@pytest.fixture(scope="module")
def metered(simulate: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    overlay = tmp_path_factory.mktemp("meters") / "meters.yaml"
    overlay.write_text(METERS)
    site = simulate(*vehicles("dc,v2g,soc=50"), "--overlay", str(overlay), auto=True)
    site.wait_for("the vehicle in its charge loop", site.charge_loops, 90.0)
    return site


class TestMeters:
    def feed(self, metered: Any, *lines: str) -> list[dict[str, Any]]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(str(metered.run_dir / "meters.sock"))
            with connection.makefile("rwb") as stream:
                answers = []
                for line in lines:
                    stream.write(line.encode() + b"\n")
                    stream.flush()
                    answers.append(json.loads(stream.readline()))
                return answers

    def reading(self, meter: str, power_w: float, **more: Any) -> str:
        third_w = power_w / 3.0
        return json.dumps({
            "meter": meter, "at": time.time(), "power_w": {"a": third_w, "b": third_w, "c": third_w}, **more
        })  # fmt: skip

    def test_meters_tell_the_base_load_and_one_that_vanishes_leaves_it_incomplete(self, metered: Any) -> None:
        answers = self.feed(metered, self.reading("house-1", 30e3), self.reading("house-2", 50e3))
        assert answers == [{"ok": True}, {"ok": True}]
        text = metered.command("v2g-tool", "meters").stdout
        assert "house-1" in text
        assert "house-2" in text
        self.feed(metered, self.reading("house-1", 30e3))
        time.sleep(3.0)
        self.feed(metered, self.reading("house-1", 30e3))
        metered.wait_for(
            "house-2 missing",
            lambda: "house-2" in str(json.loads(metered.command("v2g-tool", "meters", "--json").stdout)["missing"]),
            10.0,
        )
        assert metered.status()["ready"]

    def test_a_reading_that_cannot_be_is_refused_with_the_field_and_the_remedy(self, metered: Any) -> None:
        unknown, broken = self.feed(metered, self.reading("house-9", 1e3), '{"meter": "house-1"}')
        assert "house-9" in unknown["error"]
        assert '"at" is missing: write seconds since 1970, or an ISO 8601 text' in broken["error"]
