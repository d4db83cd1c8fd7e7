from __future__ import annotations

import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from v2g.config.timezone import TimezoneError, zone_of
from v2g.orchestrator.local_time import SiteZone
from v2g.thermal.calendar import DayType

BERLIN = SiteZone("Europe/Berlin")


def unix_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_minute_has_its_kind_of_day_and_its_place_in_the_local_day() -> None:
    at = BERLIN.local(unix_s("2026-11-26 17:41:59.9")).minute
    assert (at.day_type, at.minute, at.unix_min) == (DayType.WORKDAY, 18 * 60 + 41, unix_s("2026-11-26 17:41") / 60)
    assert BERLIN.local(unix_s("2026-11-27 22:59")).minute.day_type is DayType.WORKDAY
    assert BERLIN.local(unix_s("2026-11-27 23:00")).minute.day_type is DayType.SATURDAY
    assert BERLIN.local(unix_s("2026-11-29 12:00")).minute.day_type is DayType.SUNDAY


def test_the_doubled_hour_has_the_same_minutes_twice_and_never_the_same_unix_minute() -> None:
    start = unix_s("2026-10-25 00:00")
    minutes = [BERLIN.local(start + n * 60.0).minute for n in range(180)]
    assert [at.minute for at in minutes] == [*range(120, 180), *range(120, 180), *range(180, 240)]
    assert [at.unix_min for at in minutes] == list(range(minutes[0].unix_min, minutes[0].unix_min + 180))


def test_in_spring_sixty_minutes_are_left_out() -> None:
    start = unix_s("2026-03-29 00:00")
    minutes = [BERLIN.local(start + n * 60.0).minute.minute for n in range(120)]
    assert minutes == [*range(60, 120), *range(180, 240)]


@pytest.mark.parametrize(
    ("zone", "noon_utc", "hours"),
    [
        ("Europe/Berlin", "2026-11-26 12:00", 24),
        ("Europe/Berlin", "2026-03-29 12:00", 23),
        ("Europe/Berlin", "2026-10-25 12:00", 25),
        ("America/Chicago", "2026-11-01 18:00", 25),
        ("Asia/Kolkata", "2026-11-01 06:00", 24),
        ("Australia/Lord_Howe", "2026-10-04 02:00", 23.5),
        ("America/Havana", "2024-03-10 17:00", 23),  # no midnight: the day begins at one o'clock
        ("America/Havana", "2024-11-03 17:00", 25),  # two midnights on one day
        ("America/Sao_Paulo", "2018-02-17 15:00", 25),  # at midnight the clock went back to 23:00
        ("America/Sao_Paulo", "2018-11-04 15:00", 23),
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, noon_utc: str, hours: float) -> None:
    local, noon_s = SiteZone(zone), unix_s(noon_utc)
    end_s = noon_s + local.local(noon_s).left_of_day_s
    day = local.local(noon_s).day
    assert local.local(end_s - 0.001).day == day
    assert local.local(end_s).day == day + 1
    start_s = end_s - hours * 3600.0
    assert local.local(start_s).day == day
    assert local.local(start_s - 0.001).day == day - 1
    assert local.local(start_s).left_of_day_s == pytest.approx(hours * 3600.0)


def test_a_clock_that_goes_back_over_midnight_comes_to_a_second_midnight() -> None:
    # Newfoundland, 2006: from 00:01 back to 23:01.
    local, at_s = SiteZone("America/St_Johns"), unix_s("2006-10-29 02:45")
    assert local.local(at_s).minute.minute == 23 * 60 + 15
    assert local.local(at_s).left_of_day_s == 45 * 60.0


@given(
    zone=st.sampled_from(
        ["Europe/London", "America/St_Johns", "America/Havana", "Pacific/Apia", "Africa/Cairo", "UTC"]
    ),
    at_s=st.floats(0, 4e9),
)
def test_the_next_day_always_comes_within_25_hours(zone: str, at_s: float) -> None:
    local = SiteZone(zone)
    left_s = local.local(at_s).left_of_day_s
    assert 0.0 < left_s <= 25 * 3600.0
    assert 0 <= local.local(at_s).minute.minute < 1440


@pytest.fixture
def host_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/Chicago")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("host_zone")
def test_an_empty_name_is_the_hosts_zone() -> None:
    host, named = SiteZone(), SiteZone("America/Chicago")
    for text in ("2026-07-01 04:59", "2026-11-01 05:30", "2026-11-01 06:30", "2026-11-01 07:30", "2026-03-08 09:00"):
        at_s = unix_s(text)
        assert host.local(at_s).minute == named.local(at_s).minute
        assert host.local(at_s).day == named.local(at_s).day
        assert host.local(at_s).left_of_day_s == named.local(at_s).left_of_day_s


@pytest.mark.parametrize(
    "name", ["Europe/Berlim", "../etc/passwd", "/etc/localtime", "CEST", "Europe", "a\0b", "x" * 999]
)
def test_a_name_that_is_no_zone_is_refused_with_the_remedy(name: str) -> None:
    with pytest.raises(TimezoneError, match="is no known time zone: write an IANA name, such as Europe/Berlin"):
        zone_of(name)


def test_a_host_without_zone_data_is_told_to_install_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    with pytest.raises(TimezoneError, match=r"no time zone data: install them \(Debian: apt install tzdata\)"):
        zone_of("Europe/Berlim")


def test_the_time_of_day_is_the_site_s() -> None:
    told = {zone: SiteZone(zone).time_of_day(1_700_000_000.0) for zone in ("UTC", "America/New_York", "Asia/Kolkata")}
    assert told == {"UTC": "22:13", "America/New_York": "17:13", "Asia/Kolkata": "03:43"}
