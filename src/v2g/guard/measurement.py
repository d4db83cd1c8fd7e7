"""From the waveform buffer to an estimate, or to nothing: stale, frozen and impossible samples are no measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from v2g.grid.estimate import Estimate, EstimationError, Validity
from v2g.grid.estimation import Estimator, Samples
from v2g.grid.synchronisation import PerPhaseAngle
from v2g.hardware.sample_clock import SampleClock
from v2g.hardware.sensor_map import Factors
from v2g.hardware.waveform import CHANNELS, WaveformError, WaveformWindow, WriterGone

_REOPEN_S = 0.1
_BUS = CHANNELS[0:3]
_V = slice(CHANNELS.index("v_bus_a"), CHANNELS.index("v_bus_c") + 1)
_I_TR = slice(CHANNELS.index("i_tr_a"), CHANNELS.index("i_tr_c") + 1)
_I_V2G = slice(CHANNELS.index("i_v2g_a"), CHANNELS.index("i_v2g_c") + 1)
_V_INV = slice(CHANNELS.index("v_inv_a"), CHANNELS.index("v_inv_c") + 1)
CURRENT_DEAD_AFTER_S = 1.0
"""A transformer current channel whose samples are all the same for this long is dead. A real channel always has noise
of at least one count, at no load too, so that exactly zero is a broken wire or converter and never an unloaded
transformer."""
LIVE_BUS_PU = 0.5
"""Below this voltage nothing is said about the currents: a dead bus draws none."""
_SAID = {
    Validity.NOT_FINITE: "samples are missing (not finite): check the converter and its writer",
    Validity.STUCK: "samples are stuck: check the converter of the bus voltages",
    Validity.CLIPPED: "samples are clipped: a bus voltage reached the converter's full scale; check its range",
}


class WaveformPort(Protocol):
    """The waveform buffer; :class:`v2g.hardware.waveform.WaveformReader` is one. Its methods raise WaveformError.

    ``full_scale``: V or A at which each of CHANNELS saturates.
    """

    sample_rate_hz: int
    full_scale: Samples

    def latest(self, n: int) -> WaveformWindow: ...

    def latest_of(self, names: tuple[str, ...], n: int) -> WaveformWindow: ...

    def correct(self, factors: Factors) -> None:
        """Raises WaveformError, and then nothing has changed."""


class Measurement:
    """Reads the buffer once a tick. ``open_waveform`` raises WaveformError until the buffer exists.

    Without valid samples younger than ``max_age_s`` there is no measurement, and none from the moment the buffer's
    writer is gone. Ages are counted from :attr:`~v2g.hardware.waveform.WaveformWindow.as_of_s`, the time of the samples
    themselves. ``factors`` correct the samples where they enter.
    """

    def __init__(
        self,
        open_waveform: Callable[[], WaveformPort],
        nominal_voltage_v: float,
        nominal_frequency_hz: float,
        max_age_s: float,
        factors: Factors | None = None,
    ) -> None:
        self._factors: Factors = factors or {}
        self._open_waveform = open_waveform
        self._max_age_s = max_age_s
        self._nominal_voltage_v = nominal_voltage_v
        self._nominal_frequency_hz = nominal_frequency_hz
        self._reader: WaveformPort | None = None
        self._opened_at_s = float("-inf")
        self._estimator: Estimator | None = None
        self._generation = -1
        self._clock = SampleClock()
        self._last_index = -1
        self._as_of_s = float("-inf")
        self._currents_live_at_s = [float("-inf")] * 3
        self._estimate: Estimate | None = None
        self.reason = ""
        """Why there is no measurement; empty while there is one."""

    @property
    def as_of_s(self) -> float:
        """When the newest samples of the estimate were taken."""
        return self._as_of_s

    @property
    def load_measured(self) -> bool:
        """The transformer's currents are believable: there is an estimate and no channel of them is dead."""
        return self._estimate is not None and not self.dead_currents

    @property
    def dead_currents(self) -> tuple[str, ...]:
        """Transformer current channels that held one value for :data:`CURRENT_DEAD_AFTER_S`, or since the start."""
        return tuple(
            name
            for name, live_at_s in zip(CHANNELS[_I_TR], self._currents_live_at_s, strict=True)
            if self._as_of_s - live_at_s >= CURRENT_DEAD_AFTER_S
        )

    def take(self, now_s: float, inverter_frequency: bool = False) -> Estimate | None:
        """The estimate from the newest samples until these are older than ``max_age_s``; then None. Never raises.

        ``inverter_frequency``: estimate that of the inverter side as well.
        """
        try:
            self._update(now_s, inverter_frequency)
        except WriterGone as error:
            self.reason = str(error)
            self._estimate = None
            return None
        except (WaveformError, EstimationError) as error:
            self.reason = str(error)
        if now_s - self._as_of_s > self._max_age_s:
            self._estimate = None
            self.reason = self.reason or f"no new samples for {self._max_age_s * 1e3:.0f} ms"
        elif self._estimate is not None:
            self.reason = ""
        return self._estimate

    def correct(self, factors: Factors) -> None:
        """Correct samples by these from the next :meth:`take` on.

        Raises :class:`~v2g.hardware.waveform.WaveformError` for a channel that the open buffer does not have, and then
        nothing has changed.
        """
        if self._reader is not None and factors != self._factors:
            self._reader.correct(factors)
            # It judges by the full scale, which the factors move too.
            self._estimator = None
        self._factors = factors

    def angles(self, channels: tuple[str, str, str]) -> PerPhaseAngle:
        """Fundamental of other voltage channels of the buffer minus that of the bus, degrees, from the newest samples.

        Raises :class:`~v2g.hardware.waveform.WaveformError`, naming a channel that is not there.
        """
        if self._reader is None or self._estimator is None:
            raise WaveformError("the waveform buffer is not open")
        estimator = self._estimator
        samples = self._reader.latest_of(_BUS + channels, estimator.window_samples).samples
        return estimator.phase_angles(samples[:, 0:3], samples[:, 3:6])

    def _update(self, now_s: float, inverter_frequency: bool) -> None:
        if self._reader is None:
            if now_s - self._opened_at_s < _REOPEN_S:
                return
            self._opened_at_s = now_s
            reader = self._open_waveform()
            reader.correct(self._factors)
            self._reader = reader
        window, estimator = self._window(self._reader)
        doubt = self._clock.judge(window, self._reader.sample_rate_hz, now_s)
        # The writer's own time and its index must both move: a frozen index under a live clock is as dead.
        if doubt or abs(now_s - window.as_of_s) > self._max_age_s or window.last_index == self._last_index:
            if doubt:
                self.reason = doubt
            elif now_s - self._as_of_s > self._max_age_s:
                self.reason = f"the newest samples are {now_s - window.as_of_s:.3f} s old: the writer has stopped"
            return
        self._last_index = window.last_index
        samples = window.samples
        estimate = estimator.estimate(
            samples[:, _V],
            samples[:, _I_TR],
            samples[:, _I_V2G],
            samples[:, _V_INV],
            inverter_frequency=inverter_frequency,
        )
        if estimate.validity is not Validity.VALID:
            self.reason = _SAID[estimate.validity]
            return
        self._estimate = estimate
        self._as_of_s = window.as_of_s
        if max(estimate.v_pu) < LIVE_BUS_PU:
            self._currents_live_at_s = [window.as_of_s] * 3
        for channel, moves in enumerate(estimate.transformer_moves):
            if moves:
                self._currents_live_at_s[channel] = window.as_of_s

    def _window(self, reader: WaveformPort) -> tuple[WaveformWindow, Estimator]:
        estimator = self._estimator
        if estimator is not None and estimator.sample_rate_hz == reader.sample_rate_hz:
            window = reader.latest(estimator.window_samples)
            if window.generation == self._generation:
                return window, estimator
        # First window, or the writer came back: with another rate, other scales.
        full_scale_v = float(reader.full_scale[_V].min())
        estimator = Estimator(reader.sample_rate_hz, self._nominal_frequency_hz, self._nominal_voltage_v, full_scale_v)
        self._estimator, self._last_index = estimator, -1
        window = reader.latest(estimator.window_samples)
        self._generation = window.generation
        return window, estimator
