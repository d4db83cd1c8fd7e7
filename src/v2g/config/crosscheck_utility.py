"""What no single value of ``utility.meters`` and ``utility.meter_feed`` can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from v2g.config.addresses import address_suspicions, device_of, modbus_addresses
from v2g.config.paths import SUN_PATH_MAX, meter_feed_path, run_paths
from v2g.config.problems import Report
from v2g.config.schema import Config

_LEAST_POLLS = 2
"""Reads within ``max_age_s``, so that one may be lost."""


def check_utility(config: Config, report: Report) -> None:
    """Every contradiction, into ``report``."""
    _ids(config, report)
    _addresses(config, report)
    for position, meter in enumerate(config.utility.meters):
        if meter.max_age_s < _LEAST_POLLS * meter.poll_s:
            report.add(
                f"utility.meters[{position}].max_age_s",
                f"{meter.max_age_s:g}",
                f"is less than two polls ({_LEAST_POLLS * meter.poll_s:g} s): the meter would be missing between them",
                f"write {_LEAST_POLLS * meter.poll_s:g} or more, or shorten poll_s",
            )
    _feed(config, report)


def utility_suspicions(config: Config) -> Iterator[str]:
    """Values that are allowed but look like a slip; for people, never a reason to stop."""
    rated_w = 1000.0 * config.transformer.rated_kva
    for position, meter in enumerate(config.utility.meters):
        path = f"utility.meters[{position}]"
        yield from _rating(f"{path}.rated_w", meter.rated_w, rated_w)
        yield from address_suspicions(f"{path}.modbus", meter.modbus)
    feed = config.utility.meter_feed
    if feed is None:
        return
    yield from _rating("utility.meter_feed.rated_w", feed.rated_w, rated_w)
    if not feed.meters:
        yield "utility.meter_feed has no meters: every reading is refused; name the ids that are expected"


def _rating(path: str, value_w: float | None, transformer_w: float) -> Iterator[str]:
    if value_w is not None and value_w < 500:
        yield f"{path} is {value_w:g} W; for {value_w:g} kW write {value_w * 1000:g}"
    elif value_w is not None and value_w > transformer_w:
        yield f"{path} is {value_w:g} W, more than the transformer's {transformer_w:g} VA"


def _ids(config: Config, report: Report) -> None:
    utility = config.utility
    places = [(f"utility.meters[{n}].id", meter.id) for n, meter in enumerate(utility.meters)]
    if utility.meter_feed is not None:
        places += [(f"utility.meter_feed.meters[{n}]", meter) for n, meter in enumerate(utility.meter_feed.meters)]
    seen: dict[str, str] = {}
    for path, meter in places:
        first = seen.setdefault(meter, path)
        if first != path:
            report.add(
                path, repr(meter), f"is the id of {first} too", "a customer counts once: remove one, or rename it"
            )
        if not meter.strip() or len(meter) > 64 or not meter.isprintable():
            report.add(path, repr(meter), "is no id", "write 1 to 64 printable characters")


def _addresses(config: Config, report: Report) -> None:
    taken = {
        device_of(address): f"{part} of EVSE {evse.id} (evses[{position}])"
        for position, evse in enumerate(config.evses)
        for part, address in modbus_addresses(evse)
    }
    for position, meter in enumerate(config.utility.meters):
        path = f"utility.meters[{position}]"
        first = taken.setdefault(device_of(meter.modbus), path)
        if first != path:
            report.add(
                f"{path}.modbus",
                device_of(meter.modbus),
                f"is {first} already",
                "what vehicles take is no base load, and a customer counts once: correct host, port or unit",
            )


def _feed(config: Config, report: Report) -> None:
    feed = config.utility.meter_feed
    if feed is None:
        return
    path = str(meter_feed_path(config))
    if not Path(path).is_absolute():
        report.add("utility.meter_feed.path", repr(path), "is no absolute path", "begin it with /, or leave it empty")
    elif len(path.encode()) > SUN_PATH_MAX:
        report.add(
            "utility.meter_feed.path",
            repr(path),
            f"is longer than the {SUN_PATH_MAX} bytes that the kernel takes for a socket",
            "choose a shorter path",
        )
    elif Path(path) in _own_sockets(config):
        report.add("utility.meter_feed.path", repr(path), "is another socket of the daemon", "choose another name")


def _own_sockets(config: Config) -> tuple[Path, ...]:
    paths = run_paths(config)
    return paths.tick_sock, paths.wires_sock, paths.control_sock
