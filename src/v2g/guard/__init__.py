"""The guard: two processes, ``tick`` (waveform to breaker) and ``wires`` (Modbus actuators)."""
