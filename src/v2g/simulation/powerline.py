"""A powerline as a process: ``python -m v2g.simulation.powerline --config powerline.json``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import msgspec

from pyiso15118.errors import LocalProtocolError
from pyiso15118.slac.addresses import BROADCAST, MAC_BYTES, Mac, mac_text, parse_mac
from pyiso15118.slac.frame import ETHERTYPE
from v2g.clock import Clock, SystemClock
from v2g.host.notify import Notifier
from v2g.simulation import powerline_config as protocol
from v2g.simulation.powerline_config import PowerlineConfig, PowerlineConfigError, read_config
from v2g.simulation.powerline_model import Powerline
from v2g.simulation.powerline_modem import Modem
from v2g.simulation.powerline_ports import HostPort, port_of

_MAX_LINE_BYTES = 65_536
_NOISE_TURN_S = 0.01
_NO_MAC = bytes(MAC_BYTES)


@dataclass(slots=True)
class _Noise:
    station: str
    per_s: float
    until_s: float
    owed: float = 0.0


class Segment:
    """The line, its ports and its control socket. ``await start()``, ``await close()``."""

    def __init__(self, config: PowerlineConfig, clock: Clock, say: Callable[[str], None]) -> None:
        """Raises :class:`PowerlineConfigError`."""
        self._clock = clock
        self._say = say
        self._control = Path(config.control_socket)
        self._random = Random(config.seed)
        self.line = Powerline(self._random, default_db=config.default_db, loss=config.loss, delay_s=config.delay_s)
        self._learning: set[str] = set()
        self._ports: dict[str, HostPort] = {}
        try:
            for station in config.stations:
                host_mac = parse_mac(station.host_mac) if station.host_mac else _NO_MAC
                self.line.add(
                    Modem(
                        name=station.name,
                        host_mac=host_mac,
                        modem_mac=parse_mac(station.modem_mac),
                        offset_db=station.offset_db,
                        make=station.make,
                        plugged=station.plugged,
                    )
                )
                if not station.host_mac:
                    self._learning.add(station.name)
                self._ports[station.name] = port_of(station, self._on_frame, self._on_hello)
            for pair in config.pairs:
                self.line.set_attenuation(pair.one, pair.other, pair.db)
        except (LocalProtocolError, ValueError, KeyError) as error:
            raise PowerlineConfigError(f"powerline configuration: {error}") from None
        self._passed = 0
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._noises: list[_Noise] = []
        self._noise_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises OSError, with what failed named."""
        for name, port in self._ports.items():
            try:
                port.start()
            except OSError as error:
                raise OSError(error.errno, f"station {name}: {error.strerror}") from error
        self._control.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self._control), limit=_MAX_LINE_BYTES)
        self._control.chmod(0o600)

    async def close(self) -> None:
        if self._noise_task is not None:
            self._noise_task.cancel()
            await asyncio.gather(self._noise_task, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for port in self._ports.values():
            port.close()
        self._control.unlink(missing_ok=True)

    # ---- frames ----

    def _on_frame(self, name: str, data: bytes) -> None:
        source = data[MAC_BYTES : 2 * MAC_BYTES]
        if name in self._learning and len(source) == MAC_BYTES and not source[0] & 1:
            self._learning.discard(name)
            self.line.stations[name].host_mac = source
        self._passed += 1
        self.line.from_host(name, data, self._clock.monotonic_s())
        self._pump()

    def _on_hello(self, name: str, mac: Mac, plugged: bool) -> None:
        station = self.line.stations[name]
        self._learning.discard(name)
        if (station.host_mac, station.plugged) != (mac, plugged):
            self._say(f"{name}: host {mac_text(mac)} is {'on' if plugged else 'off'} the line")
        station.host_mac, station.plugged = mac, plugged

    def _pump(self) -> None:
        now_s = self._clock.monotonic_s()
        for delivery in self.line.take(now_s):
            self._ports[delivery.station].send(delivery.data)
        due_s = self.line.next_due()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_s is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due_s - now_s), self._pump)

    # ---- control ----

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                try:
                    request = msgspec.json.decode(line, type=protocol.Request)
                    answer = {"ok": True, **self._handle(request)}
                except KeyError as error:
                    known = ", ".join(self.line.stations)
                    answer = {"ok": False, "error": f"there is no station {error}; there are {known}"}
                except (ValueError, msgspec.MsgspecError) as error:
                    answer = {"ok": False, "error": str(error)}
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _handle(self, request: protocol.Request) -> dict[str, object]:
        line = self.line
        match request:
            case protocol.Measure():
                return {"measurement": self.measure()}
            case protocol.SetAttenuation():
                line.set_attenuation(request.one, request.other, request.db)
            case protocol.SetLoss():
                line.loss = request.share
            case protocol.SetPlugged():
                line.stations[request.station].plugged = request.plugged
            case protocol.SetAnswers():
                line.stations[request.station].answers = request.answers
            case protocol.LeakKey():
                source, to = line.stations[request.source], line.stations[request.to]
                to.nid, to.nmk, to.keyed_at = source.nid, source.nmk, self._clock.monotonic_s()
            case protocol.MakeNoise():
                until_s = self._clock.monotonic_s() + request.for_s
                self._noises.append(_Noise(line.stations[request.station].name, request.per_s, until_s))
                if self._noise_task is None or self._noise_task.done():
                    self._noise_task = asyncio.get_running_loop().create_task(self._make_noise())
        self._say(f"now {msgspec.json.encode(request).decode()}")
        return {}

    def measure(self) -> protocol.PowerlineMeasurement:
        now_s = self._clock.monotonic_s()
        return protocol.PowerlineMeasurement(
            at_s=now_s,
            stations=tuple(
                protocol.StationMeasurement(
                    name=modem.name,
                    host_mac=mac_text(modem.host_mac),
                    modem_mac=mac_text(modem.modem_mac),
                    plugged=modem.plugged,
                    answers=modem.answers,
                    keyed=bool(modem.nmk),
                    network=self.line.network_of(modem.name, now_s),
                )
                for modem in self.line.stations.values()
            ),
            passed=self._passed,
            dropped=self.line.dropped,
        )

    async def _make_noise(self) -> None:
        before_s = self._clock.monotonic_s()
        while self._noises:
            await asyncio.sleep(_NOISE_TURN_S)
            now_s = self._clock.monotonic_s()
            for noise in self._noises:
                noise.owed += noise.per_s * (now_s - before_s)
                while noise.owed >= 1.0:
                    noise.owed -= 1.0
                    self._ports[noise.station].send(self._nonsense())
            before_s = now_s
            self._noises = [noise for noise in self._noises if noise.until_s > now_s]

    def _nonsense(self) -> bytes:
        """Management frames of no sense: now and then of a kind that SLAC knows."""
        random = self._random
        kind = random.choice((0x6064, 0x606A, 0x6076, 0x6086, 0x606F, 0x607C, random.getrandbits(16)))
        head = BROADCAST + b"\x02" + random.randbytes(5) + ETHERTYPE.to_bytes(2, "big")
        return head + b"\x01" + kind.to_bytes(2, "little") + b"\0\0" + random.randbytes(random.randrange(41, 120))


async def _run(config: PowerlineConfig) -> int:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    notifier = Notifier()
    segment = Segment(config, SystemClock(), _say)
    await segment.start()
    notifier.ready(f"{len(config.stations)} stations")
    period_s = notifier.interval_s or 1.0
    while not ended.is_set():
        notifier.watchdog()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), period_s)
    notifier.stopping()
    await segment.close()
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM. Exit 2: the configuration cannot be used; 1: a port or socket failed."""
    parser = argparse.ArgumentParser(prog="python -m v2g.simulation.powerline", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see v2g.simulation.powerline_config")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(read_config(options.config)))
    except PowerlineConfigError as error:
        print(f"powerline: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"powerline: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
