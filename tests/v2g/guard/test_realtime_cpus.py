"""Which CPUs the tick runs on: what it is told, what the host has, what the kernel permits."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from v2g.config.schema_realtime import Realtime
from v2g.guard import realtime

HERE = sorted(os.sched_getaffinity(0))
NONE = 1023


def pinned(*cpus: int) -> tuple[tuple[str, ...], set[int]]:
    """Warnings, and where the thread is then: one of its own, for what it does to itself stays."""

    def run() -> tuple[tuple[str, ...], set[int]]:
        return realtime.pin(cpus), os.sched_getaffinity(0)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def test_the_thread_is_kept_on_the_cpus_that_are_named() -> None:
    assert pinned(HERE[-1]) == ((), {HERE[-1]})


def test_none_named_is_any() -> None:
    assert pinned() == ((), set(HERE))


def test_a_cpu_that_the_host_has_not_is_told_and_left_out() -> None:
    warnings, cpus = pinned(HERE[0], NONE)
    assert cpus == {HERE[0]}
    assert f"has no CPU {NONE}" in warnings[0]


def test_where_none_of_them_is_there_everything_stays_as_it_is() -> None:
    warnings, cpus = pinned(NONE)
    assert cpus == set(HERE)
    assert len(warnings) == 1


def test_a_refusal_of_the_kernel_is_a_warning_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, cpus: set[int]) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "sched_setaffinity", refused)
    warnings, _ = pinned(HERE[0])
    assert "Operation not permitted; the unit must permit it (SystemCallFilter=)" in warnings[0]


@pytest.mark.parametrize("cpus", [[-1], [1024], ["0-2"], "3"])
def test_what_is_no_cpu_is_refused_in_the_configuration(cpus: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"tick_cpus": cpus}, Realtime)
