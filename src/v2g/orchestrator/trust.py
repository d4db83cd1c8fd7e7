"""What vehicles' certificates are judged by beside anchors: revocation, the time; and what we staple ourselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryptography import x509

from pyiso15118.security import JudgedAt
from v2g.clock import Clock
from v2g.config.paths import PkiPaths, pki_paths
from v2g.config.schema import Config, TlsProfileName
from v2g.orchestrator.endpoints import Endpoints, build_endpoints
from v2g.pki.bundle import read_chain
from v2g.pki.clock_sync import ClockWatch
from v2g.pki.model import PkiError
from v2g.pki.revocation_source import RevocationSource
from v2g.pki.staple import Stapler
from v2g.pki.store import ROOTS, in_force
from v2g.telemetry.logs import EventLog

REFRESH_S = 10.0


class TrustData:
    """Of one daemon. :meth:`build` makes endpoints that use it; :meth:`run` keeps it up to date."""

    def __init__(self, config: Config, state_dir: Path, clock: Clock, comms: EventLog, daemon: EventLog) -> None:
        """``comms``: where revocation is told; ``daemon``: the clock and our own certificate."""
        self._config = config
        self._state_dir = state_dir
        self._clock = clock
        self._daemon = daemon
        self._stapler: Stapler | None = None
        self._stapled: tuple[x509.Certificate, ...] = ()
        self.time = ClockWatch(clock, state_dir, known_unix_s=_begins(config), log=daemon)
        self.revocation = RevocationSource(
            config.pki.revocation,
            crl_dir=pki_paths(config).crl_dir,
            state_dir=state_dir,
            clock=clock,
            log=comms,
            time=self.time.judged,
        )

    def start(self) -> None:
        """Read what is on the disk, before anybody is served, and say what is missing."""
        self.time.refresh()
        self.revocation.load()
        self.revocation.announce()

    def build(self, config: Config) -> Endpoints:
        """Endpoints from the files as they are; until they are adopted, those before go on with what is theirs.

        Raises :class:`pyiso15118.security.TlsError`.
        """
        paths = in_force(pki_paths(config))
        anchors, chain = _anchors(config, paths), _certificates(paths.strict_chain)
        stapler = self._stapler if chain == self._stapled else self._stapler_for(chain, paths)
        endpoints = build_endpoints(
            config, is_revoked=self.revocation.is_revoked_waiting, judged_at=self._judged_at, staple=stapler
        )
        return replace(endpoints, adopted=partial(self._adopt, anchors, chain, stapler))

    async def run(self) -> None:
        """Until it is cancelled: files, fetched lists, the clock and the staple, in a thread."""
        while True:
            await asyncio.to_thread(self._refresh)
            await asyncio.sleep(REFRESH_S)

    def problems(self) -> tuple[str, ...]:
        """For the status."""
        own = (self._stapler.problem,) if self._stapler is not None and self._stapler.problem else ()
        return (*self.revocation.warnings(), *own)

    def close(self) -> None:
        self.revocation.close()

    def _refresh(self) -> None:
        self.time.refresh()
        self.revocation.refresh()
        if (stapler := self._stapler) is not None:
            stapler.refresh()

    def _judged_at(self) -> JudgedAt:
        judged = self.time.judged()
        return JudgedAt(judged.at_unix_s, not_before_counts=not judged.is_lower_bound)

    def _adopt(
        self, anchors: Sequence[x509.Certificate], chain: tuple[x509.Certificate, ...], stapler: Stapler | None
    ) -> None:
        self.revocation.trust(anchors)
        self._stapled, self._stapler = chain, stapler

    def _stapler_for(self, chain: tuple[x509.Certificate, ...], paths: PkiPaths) -> Stapler | None:
        if not chain:
            return None
        # A leaf that a root itself issued has its issuer in the bundle only.
        known = (*chain, *_certificates(paths.strict_chain.parent / ROOTS))
        return Stapler(
            known,
            state_dir=self._state_dir,
            timeout_s=self._config.pki.revocation.timeout_s,
            clock=self._clock,
            time=self.time.judged,
            log=self._daemon,
            exchanges=self.revocation.exchanges,
        )


def _begins(config: Config) -> list[float]:
    """When our own certificates began: times that have passed."""
    paths = in_force(pki_paths(config))
    leaves = [chain[0] for path in (paths.strict_chain, paths.compat_chain) if (chain := _certificates(path))]
    return [leaf.not_valid_before_utc.timestamp() for leaf in leaves]


def _anchors(config: Config, paths: PkiPaths) -> list[x509.Certificate]:
    """Of the profiles in use."""
    trust = {TlsProfileName.STRICT: paths.strict_trust, TlsProfileName.COMPAT: paths.compat_trust}
    used = {trust[evse.tls] for evse in config.evses if evse.tls in trust}
    return [c for path in sorted(used) for c in _certificates(path)]


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """None where they cannot be read, which whoever serves with them tells."""
    try:
        return read_chain(path)
    except PkiError:
        return ()
