"""The method ``relay.test``: the steps of a test of the hardware relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from v2g.clock import Clock
from v2g.control import messages
from v2g.control.server import Caller, Refused
from v2g.orchestrator.acknowledgement import acknowledged
from v2g.orchestrator.guard_link import GuardLink
from v2g.orchestrator.idle import require_idle
from v2g.orchestrator.relay_test import FILE, RelayTest, record
from v2g.orchestrator.site import Site

_MAX_NOTE = 500


class RelayTestApi:
    """At most one test at a time; any engineer may go on with it. What is refused raises :class:`Refused`."""

    def __init__(self, site: Site, link: GuardLink, state_dir: Path, clock: Clock, audit: Callable[..., None]) -> None:
        self._site = site
        self._link = link
        self._state_dir = state_dir
        self._clock = clock
        self._audit = audit
        self._test: RelayTest | None = None
        self._starting = False

    async def close(self) -> None:
        """End what still watches; ``v2g-guard tick`` ends the test by itself."""
        if self._test is not None:
            await self._test.close()

    async def step(self, params: messages.RelayTestParams, caller: Caller) -> messages.RelayTestResult:
        match params.step:
            case "start":
                return await self._start(params.acknowledge, caller)
            case "state":
                return self._result(self._current())
            case "finish":
                return await self._finish(params, caller)
            case "abort":
                return await self._end(caller)
        raise Refused(f"step {params.step!r} is unknown; use start, state, finish or abort", code="BAD_STEP")

    async def _start(self, acknowledge: str, caller: Caller) -> messages.RelayTestResult:
        if self._starting or (self._test is not None and self._test.running):
            raise Refused("a relay test runs already; finish or abort it", code="BUSY")
        person = acknowledged(acknowledge, "v2g-tool test-relay", caller, self._audit)
        require_idle(self._site, self._link.fresh(), self._clock.monotonic_s(), "tested")
        if self._link.fresh().relay_closed is None:
            raise Refused(
                "the hardware relay's feedback is missing, so that a test could not be seen: state relay.feedback_path "
                "and check the contact's wiring and the driver of the input",
                code="NO_FEEDBACK",
            )
        self._starting = True
        try:
            await self._link.require("test_relay", caller, "TEST_NOT_STARTED", enabled=True)
            await self.close()
            self._test = RelayTest(self._link.status, self._clock, person)
        finally:
            self._starting = False
        return self._result(self._test)

    async def _finish(self, params: messages.RelayTestParams, caller: Caller) -> messages.RelayTestResult:
        test = self._current()
        if params.passed is None:
            raise Refused("say whether the test is passed", code="BAD_STEP")
        if params.passed and not test.opened_and_closed:
            raise Refused(
                "the relay was not seen to open and to close again: that is no passed test; wait, or finish it as "
                "failed",
                code="NOT_PASSED",
            )
        passed = params.passed
        note = "".join(character for character in params.note if character.isprintable())[:_MAX_NOTE]
        path, relay = self._state_dir / FILE, self._site.config.relay
        result = await self._end(caller)
        try:
            await asyncio.to_thread(
                record,
                path,
                test,
                by=caller.user,
                unix_s=self._clock.unix_s(),
                setting_pu=relay.setting_pu,
                delay_s=relay.delay_s,
                passed=passed,
                note=note,
            )
        except OSError as error:
            raise Refused(
                f"the test is over and could not be recorded in {path}: {error.strerror}", code="NOT_RECORDED"
            ) from None
        self._audit(
            "RELAY_TEST",
            f"hardware relay {'passed' if passed else 'FAILED'} its test by {caller.user}",
            setting_pu=relay.setting_pu,
            delay_s=relay.delay_s,
            operations=len(test.operations),
            acknowledged_by=test.acknowledged_by,
            note=note,
        )
        return msgspec.structs.replace(result, recorded_in=str(path))

    async def _end(self, caller: Caller) -> messages.RelayTestResult:
        test = self._current()
        await self._link.require("test_relay", caller, "TEST_NOT_ENDED", enabled=False)
        await test.close()
        self._test = None
        return self._result(test)

    def _current(self) -> RelayTest:
        if self._test is None:
            raise Refused("no relay test runs; start one", code="NO_TEST")
        return self._test

    def _result(self, test: RelayTest) -> messages.RelayTestResult:
        guard = self._link.status()
        return messages.RelayTestResult(
            running=test.running,
            relay_closed=guard.relay_closed,
            breaker_closed=guard.breaker_closed,
            elapsed_s=round(test.elapsed_s, 2),
            operations=test.operations,
        )
