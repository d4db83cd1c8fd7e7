"""Customers' meters as the configuration names them: connections, feed, and the base load that they tell."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from v2g.clock import Clock
from v2g.config.addresses import endpoint
from v2g.config.paths import meter_feed_path
from v2g.config.schema import Config
from v2g.telemetry.logs import EventLog
from v2g.utility.meter_book import MeterBook
from v2g.utility.meter_feed import EndpointError, MeterFeedServer, answer
from v2g.utility.meter_poll import MeterPoll, link_to
from v2g.utility.meter_reading import MeterSpec
from v2g.utility.meter_record import MeterRecord
from v2g.utility.meter_view import MeteredLoad

SAID_AFTER_S = 60.0
"""A meter that tells nothing usable for so long is written to the log."""
VIEW_S = 1.0
"""The sum is made anew so often; the control cycle asks several times as often."""


class Meters:
    """:meth:`view` in every control cycle; with no meters configured it is empty and nothing runs.

    ``jitter`` gives numbers in [0, 1). ``log`` takes what becomes of meters.
    """

    def __init__(
        self, config: Config, config_dir: Path, clock: Clock, jitter: Callable[[], float], log: EventLog
    ) -> None:
        self._clock = clock
        self._log = log
        self._book = MeterBook(meter_specs(config))
        self._polls = {
            meter.id: MeterPoll(
                meter,
                link_to(meter, endpoint(meter.modbus, config_dir), clock, jitter),
                self._book,
                clock,
                jitter,
            )
            for meter in config.utility.meters
        }
        self._feed: MeterFeedServer | None = None
        if (feed := config.utility.meter_feed) is not None:
            self._feed = MeterFeedServer(meter_feed_path(config), feed.group, self._fed, clock)
        self._remarks: tuple[str, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._watch = _Watch(log)
        self._due_s = -math.inf
        self.last = MeteredLoad()
        """Of the last :meth:`view`."""

    @property
    def records(self) -> Mapping[str, MeterRecord]:
        return self._book.records

    async def start(self) -> None:
        """A feed that cannot be served is logged and told with each view; the rest works without."""
        if self._feed is not None:
            try:
                await self._feed.start()
            except EndpointError as error:
                self._remarks = (f"the meter feed is not served: {error}",)
                self._log.error("METER_FEED_FAILED", str(error))
            for remark in self._feed.remarks:
                self._log.warning("METER_FEED_GROUP", remark)
        for meter, poll in self._polls.items():
            task = asyncio.create_task(poll.run(), name=f"meter {meter}")
            task.add_done_callback(partial(self._ended, meter))
            self._tasks.append(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._feed is not None:
            await self._feed.close()

    def view(self, now_s: float, unix_s: float, measured_base_w: float | None) -> MeteredLoad:
        """The base load as all meters tell it, at most a second ago.

        ``measured_base_w``: the base load that the transformer itself measures, to be compared; None: unknown.
        """
        if now_s < self._due_s:
            return self.last
        self._due_s = now_s + VIEW_S
        view = self._book.view(now_s, unix_s, measured_base_w, self._remarks)
        self._watch.look(view, self._book.contradiction, now_s)
        self.last = view
        return view

    def _fed(self, line: bytes) -> bytes:
        return answer(line, self._book, self._clock.monotonic_s(), self._clock.unix_s())

    def _ended(self, meter: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            why = f"it is not read any more: {task.exception()!r}; restart the daemon and report this"
            self._book.lose(meter, why)
            self._log.error("METER_TASK_ENDED", f"meter {meter}: {why}", meter=meter)


def meter_specs(config: Config) -> tuple[MeterSpec, ...]:
    """All that are expected. Without ``rated_w`` a connection is taken to carry what the transformer does."""
    rated_w = 1000.0 * config.transformer.rated_kva
    polled = [
        MeterSpec(
            id=meter.id,
            max_age_s=meter.max_age_s,
            rated_w=meter.rated_w or rated_w,
            where=f"{meter.modbus.host}:{meter.modbus.port} unit {meter.modbus.unit}",
        )
        for meter in config.utility.meters
    ]
    if (feed := config.utility.meter_feed) is None:
        return tuple(polled)
    where = str(meter_feed_path(config))
    fed = [
        MeterSpec(id=meter, max_age_s=feed.max_age_s, rated_w=feed.rated_w or rated_w, fed=True, where=where)
        for meter in feed.meters
    ]
    return (*polled, *fed)


class _Watch:
    """Writes down when meters are lost and come back, and contradictions, once each."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._since_s: dict[str, float] = {}
        self._said: set[str] = set()
        self._contradicts = False

    def look(self, view: MeteredLoad, contradiction: str, now_s: float) -> None:
        for line in view.lines:
            if line.power_w is not None:
                self._since_s.pop(line.id, None)
                if line.id in self._said:
                    self._said.discard(line.id)
                    self._log.info("METER_BACK", f"meter {line.id} is used again", meter=line.id)
            elif now_s - self._since_s.setdefault(line.id, now_s) >= SAID_AFTER_S and line.id not in self._said:
                self._said.add(line.id)
                self._log.warning("METER_NOT_USED", f"meter {line.id}: {line.problem}", meter=line.id)
        if bool(contradiction) != self._contradicts:
            self._contradicts = bool(contradiction)
            if contradiction:
                self._log.warning("METERS_CONTRADICT", contradiction)
            else:
                self._log.info("METERS_AGREE", "the meters and the transformer's measurement agree again")
