"""What the daemon serves vehicles with: read at the start, replaced while sessions go on, watched for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pyiso15118.aio import Endpoint, SeccServer
from pyiso15118.errors import LocalProtocolError
from pyiso15118.security import InForce, TlsError, TlsProfile
from v2g.clock import Clock
from v2g.config.paths import pki_paths
from v2g.config.schema import Config, TlsProfileName
from v2g.control.messages_pki import CertificateLine, PkiReloadResult, PkiStatusResult, ProfileInForce
from v2g.control.server import Refused
from v2g.orchestrator.endpoints import Endpoints, build_endpoints
from v2g.pki.facts import OWN, aged, expiry_problems
from v2g.pki.overview import certificate_lines
from v2g.pki.store import generation
from v2g.telemetry.logs import EventLog

TELL_EVERY_S = 86_400.0
_LOOK_EVERY_S = 60.0
"""So often the status looks at the calendar."""
_READ_AGAIN = 3
"""Times, where files are replaced while they are read."""
_PROFILES = {TlsProfileName.STRICT: TlsProfile.STRICT, TlsProfileName.COMPAT: TlsProfile.COMPAT}


@dataclass(frozen=True, slots=True)
class _Loaded:
    endpoints: Endpoints
    lines: Mapping[TlsProfile, tuple[CertificateLine, ...]]
    """Of the profiles that EVSEs are served with."""
    at_unix_s: float = field(default=0.0)


class Credentials:
    """Of one daemon. ``log``: where ends of certificates are told, at the start and once a day; ``build`` makes the
    endpoints from the files as they are, in a thread when it is called again."""

    def __init__(
        self, config: Config, clock: Clock, log: EventLog, build: Callable[[Config], Endpoints] = build_endpoints
    ) -> None:
        self._config = config
        self._build = build
        self._clock = clock
        self._log = log
        self._loaded = _Loaded(Endpoints((), {}), {})
        self._refused = ""
        self._alone = asyncio.Lock()
        self._told_at_s: float | None = None
        self._looked_at_s: float | None = None
        self._ends: tuple[tuple[str, str], ...] = ()

    @property
    def unusable(self) -> Mapping[str, str]:
        """By EVSE, why no vehicle can connect to it for want of a certificate or key."""
        return self._loaded.endpoints.problems

    @property
    def in_force(self) -> Mapping[TlsProfile, InForce | TlsError]:
        """By profile, what a handshake with ourselves proved."""
        return self._loaded.endpoints.in_force

    def start(self) -> tuple[Endpoint, ...]:
        """Read everything; the endpoints that can be served. Raises :class:`TlsError` where none can."""
        self._loaded = self._read()
        self._loaded.endpoints.adopted()
        self._tell(self._clock.monotonic_s())
        return self._loaded.endpoints.usable

    async def reload(self, secc: SeccServer) -> PkiReloadResult:
        """Read the files again, and serve new connections with them; sessions go on with what they began with.

        Raises :class:`Refused` where an EVSE that is served could not be any more; nothing has changed then.
        """
        async with self._alone:
            try:
                fresh = await self._fresh()
                added = await self._adopt(fresh, secc)
            except (TlsError, LocalProtocolError) as error:
                self._refused = str(error)
                raise Refused(f"{error}; what was in force stays so", code="PKI_REFUSED") from None
            self._refused = ""
            self._loaded = fresh
            fresh.endpoints.adopted()
            self._tell(self._clock.monotonic_s())
        served = tuple(endpoint.evse_id for endpoint in fresh.endpoints.usable if endpoint.tls is not None)
        return PkiReloadResult(
            message=_message(fresh, len(served), added), evses=served, unusable=dict(fresh.endpoints.problems)
        )

    async def check(self) -> None:
        """Raises :class:`Refused` where :meth:`reload` would now; nothing has changed."""
        async with self._alone:
            try:
                await self._fresh()
            except TlsError as error:
                self._refused = str(error)
                raise Refused(f"{error}; what was in force stays so", code="PKI_REFUSED") from None

    async def _fresh(self) -> _Loaded:
        fresh = await asyncio.to_thread(self._read)
        self._require_no_worse(fresh)
        return fresh

    def status(self) -> PkiStatusResult:
        """What is in force, with its age now."""
        now = self._clock.unix_s()
        return PkiStatusResult(
            profiles=tuple(
                ProfileInForce(
                    profile=profile.value,
                    loaded_at_unix_s=self._loaded.at_unix_s,
                    certificates=tuple(aged(line, now) for line in lines),
                )
                for profile, lines in self._loaded.lines.items()
            ),
            problems=self.problems(),
            unusable=dict(self.unusable),
        )

    def problems(self) -> tuple[str, ...]:
        """What has expired or will soon, and why the last reload was refused; for the status."""
        now_s = self._clock.monotonic_s()
        if self._looked_at_s is None or now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._look(now_s)
        refused = (f"new certificates are not in force: {self._refused}",) if self._refused else ()
        return (*refused, *(words for _, words in self._ends))

    def on_cycle(self, now_s: float) -> None:
        """Once a day, tell again what ends. ``now_s`` is monotonic."""
        if self._told_at_s is not None and now_s - self._told_at_s >= TELL_EVERY_S:
            self._tell(now_s)

    def _tell(self, now_s: float) -> None:
        self._told_at_s = now_s
        self._look(now_s)
        for code, words in self._ends:
            if code == "CERT_EXPIRED":
                self._log.error(code, words)
            else:
                self._log.warning(code, words)

    def _look(self, now_s: float) -> None:
        self._looked_at_s = now_s
        now = self._clock.unix_s()
        lines = (aged(line, now) for lines in self._loaded.lines.values() for line in lines)
        self._ends = tuple(expiry_problems(lines, self._config.pki.warn_days))

    def _read(self) -> _Loaded:
        """Key, chain and trust that belong together, though somebody may be replacing them."""
        paths = pki_paths(self._config)
        for attempt in range(_READ_AGAIN):
            before = generation(paths)
            try:
                endpoints = self._build(self._config)
            except TlsError:
                if attempt + 1 == _READ_AGAIN or generation(paths) == before:
                    raise
                continue
            now = self._clock.unix_s()
            served = {endpoint.profile for endpoint in endpoints.usable if endpoint.tls is not None}
            lines = {
                profile: tuple(certificate_lines(self._config, profile, now)[0])
                for profile in _PROFILES.values()
                if profile in served
            }
            if generation(paths) == before:
                return _Loaded(endpoints, lines, now)
        raise TlsError(f"the files in {paths.dir} are being replaced again and again: try again when that is over")

    def _require_no_worse(self, fresh: _Loaded) -> None:
        served = {endpoint.evse_id for endpoint in self._loaded.endpoints.usable}
        if lost := [reason for evse_id, reason in fresh.endpoints.problems.items() if evse_id in served]:
            raise TlsError(lost[0])
        now = self._clock.unix_s()
        for profile, lines in fresh.lines.items():
            new, old = _own(lines), _own(self._loaded.lines.get(profile, ()))
            if new is not None and old is not None and _is_valid(old, now) and not _is_valid(new, now):
                what = "has expired" if now > new.not_after_unix_s else "is not valid yet"
                raise TlsError(f"{new.subject} in {new.file} {what}, and the one in force is valid")
        for profile, proved in fresh.endpoints.in_force.items():
            if isinstance(proved, TlsError) and isinstance(self.in_force.get(profile), InForce):
                raise TlsError(f"tls {profile}: a handshake with ourselves failed: {proved}")

    async def _adopt(self, fresh: _Loaded, secc: SeccServer) -> int:
        before = {endpoint.evse_id for endpoint in self._loaded.endpoints.usable}
        added = [endpoint for endpoint in fresh.endpoints.usable if endpoint.evse_id not in before]
        for endpoint in fresh.endpoints.usable:
            if endpoint.evse_id in before and endpoint.tls is not None:
                secc.replace_tls(endpoint.evse_id, endpoint.tls)
        for endpoint in added:
            await secc.add(endpoint)
        return len(added)


def _own(lines: tuple[CertificateLine, ...]) -> CertificateLine | None:
    return next((line for line in lines if line.use == OWN), None)


def _is_valid(line: CertificateLine, at_unix_s: float) -> bool:
    return line.not_before_unix_s <= at_unix_s <= line.not_after_unix_s


def _message(fresh: _Loaded, served: int, added: int) -> str:
    names = dict.fromkeys(line.subject for lines in fresh.lines.values() if (line := _own(lines)) is not None)
    what = ", ".join(names) or "no certificate"
    more = f", {added} of them for the first time" if added else ""
    who = "1 EVSE serves" if served == 1 else f"{served} EVSEs serve"
    return f"{who} with {what} from now on{more}; sessions go on as they are"
