"""Supervision of the hardware over-voltage relay in series with the breaker. Software cannot replace it."""

from __future__ import annotations

from v2g.grid.verdict import Block, GridEvent, RelaySettings

HIGHEST_SETTING_PU = 1.10
GRACE_S = 0.1
"""Beyond its delay: opening and feedback."""
_TOLD_EVERY_S = 1.0
"""A feedback that comes and goes is told this often."""

_BLOCKS = (Block.RELAY_SETTING, Block.RELAY_FEEDBACK, Block.RELAY_FAILED)


class RelayWatch:
    """Judges the relay from its configuration, its feedback and the voltage. Time is an argument.

    A relay that did not open stays failed until it has been seen open, or a test has proved it.
    """

    def __init__(self, settings: RelaySettings) -> None:
        self._settings = settings
        self._over_since_s: float | None = None
        self._failed = False
        self._closed: bool | None = None
        self._told = Block.NONE
        self._told_open = False
        self._told_at_s = float("-inf")

    @property
    def is_open(self) -> bool:
        """Its feedback says open."""
        return self._closed is False

    def adopt(self, settings: RelaySettings) -> None:
        """New settings: the timer starts anew, a failure stays."""
        self._settings = settings
        self._over_since_s = None

    def proved(self) -> None:
        """A test has seen it open."""
        self._failed = False
        self._over_since_s = None

    def step(self, now_s: float, v_pu: float | None, closed: bool | None, events: list[GridEvent]) -> Block:
        """``v_pu``: the highest phase; None: not measured, which holds nothing against the relay."""
        settings = self._settings
        self._closed = closed if settings.feedback else None
        blocks = Block.NONE
        if settings.setting_pu is None or not settings.setting_pu <= HIGHEST_SETTING_PU:
            blocks |= Block.RELAY_SETTING
        if self._closed is None:
            blocks |= Block.RELAY_FEEDBACK
        if settings.setting_pu is None or v_pu is None or v_pu <= settings.setting_pu:
            self._over_since_s = None
        elif self._over_since_s is None or self._over_since_s > now_s:
            self._over_since_s = now_s
        if self._closed is False:
            self._failed = False
        elif (
            self._closed and self._over_since_s is not None and now_s - self._over_since_s > settings.delay_s + GRACE_S
        ):
            self._failed = True
        if self._failed:
            blocks |= Block.RELAY_FAILED
        if blocks != self._told or self.is_open != self._told_open:
            self._tell(now_s, blocks, events)
        return blocks

    def _tell(self, now_s: float, blocks: Block, events: list[GridEvent]) -> None:
        urgent = Block.RELAY_FAILED in blocks & ~self._told
        if not urgent and 0.0 <= now_s - self._told_at_s < _TOLD_EVERY_S:
            return
        new, gone = blocks & ~self._told, self._told & ~blocks
        for block in _BLOCKS:
            if block in new:
                level = "error" if block is Block.RELAY_FAILED else "warning"
                message = f"discharge is refused: {self._words(block)}"
                events.append(GridEvent(level=level, code=str(block.name), message=message))
        if gone:
            names = ",".join(str(block.name) for block in _BLOCKS if block in gone)
            events.append(
                GridEvent(
                    level="info",
                    code="RELAY_BACK",
                    message="the hardware relay refuses no discharge any more"
                    if not blocks
                    else "a reason to refuse discharge for the hardware relay is gone",
                    fields=(("gone", names),),
                )
            )
        if self.is_open != self._told_open:
            events.append(
                GridEvent(
                    level="warning" if self.is_open else "info",
                    code="RELAY_OPEN" if self.is_open else "RELAY_CLOSED",
                    message="the hardware relay has opened; the breaker opens and enter service starts over"
                    if self.is_open
                    else "the hardware relay is closed again",
                )
            )
        self._told, self._told_open, self._told_at_s = blocks, self.is_open, now_s

    def _words(self, block: Block) -> str:
        settings = self._settings
        if block is Block.RELAY_SETTING:
            if settings.setting_pu is None:
                return (
                    "the setting of the hardware over-voltage relay is not stated; read it at the relay and set "
                    "relay.setting_pu"
                )
            return (
                f"relay.setting_pu {settings.setting_pu:g} is above {HIGHEST_SETTING_PU:g}; set the hardware relay to "
                f"at most {HIGHEST_SETTING_PU * 100:g} % of nominal and state it"
            )
        if block is Block.RELAY_FEEDBACK:
            if not settings.feedback:
                return "the hardware relay has no feedback; wire its contact and set relay.feedback_path"
            return (
                "the hardware relay's feedback cannot be read; check relay.feedback_path and the driver that writes it"
            )
        return (
            f"the voltage exceeded the hardware relay's setting of {settings.setting_pu or 0.0:g} p.u. for its delay "
            f"of {settings.delay_s:g} s and it has not opened; test it with v2g-tool --test-relay"
        )
