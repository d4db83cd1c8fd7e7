"""Where things of this installation are: resolved from the configuration, never looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from v2g.config.schema import Config

SUN_PATH_MAX = 107
"""Bytes that the kernel takes for the name of a socket."""


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Absolute paths; nothing is created here. Logs are in ``log_dir``, the rest but ``state_dir`` and ``history`` in
    ``run_dir``, where the configuration does not name another place."""

    run_dir: Path
    state_dir: Path
    log_dir: Path
    waveform: Path
    breaker: Path
    relay_feedback: Path | None
    mains_input: Path | None
    guard_status: Path
    tick_sock: Path
    wires_sock: Path
    plc_sock: Path
    control_sock: Path
    comms_log: Path
    power_quality_log: Path
    audit_log: Path
    daemon_log: Path
    history: Path

    def contact(self, name: str) -> Path:
        """Where ``wires`` mirrors a contact of the sensor map that it reads over Modbus: a memory-mapped contact."""
        return self.run_dir / f"contact-{name}"


@dataclass(frozen=True, slots=True)
class PkiPaths:
    """PEM files of the SECC: chain (leaf first), private key, trust anchors; for each TLS profile.

    With a token, ``strict_key`` holds the URI of the key in it instead of the key.
    """

    dir: Path
    strict_chain: Path
    strict_key: Path
    strict_trust: Path
    compat_chain: Path
    compat_key: Path
    compat_trust: Path
    key_password_file: Path | None
    crl_dir: Path


def run_paths(config: Config) -> RunPaths:
    run_dir = Path(config.paths.run_dir)
    log_dir = Path(config.paths.log_dir)
    return RunPaths(
        run_dir=run_dir,
        state_dir=Path(config.paths.state_dir),
        log_dir=log_dir,
        waveform=Path(config.waveform.buffer_path or run_dir / "waveform"),
        breaker=Path(config.breaker.output_path or run_dir / "breaker"),
        relay_feedback=Path(config.relay.feedback_path) if config.relay.feedback_path else None,
        mains_input=Path(config.protection.mains_input_path) if config.protection.mains_input_path else None,
        guard_status=run_dir / "guard-status",
        tick_sock=run_dir / "tick.sock",
        wires_sock=run_dir / "wires.sock",
        plc_sock=run_dir / "plc.sock",
        control_sock=run_dir / "control.sock",
        comms_log=log_dir / "comms.log",
        power_quality_log=log_dir / "power_quality.log",
        audit_log=log_dir / "audit.log",
        daemon_log=log_dir / "daemon.log",
        history=Path(config.history.path or Path(config.paths.state_dir) / "history.sqlite"),
    )


def pki_paths(config: Config) -> PkiPaths:
    """An empty path means ``<pki.dir>/{chain.pem,private.key,trust.pem}``; of compat, in ``<pki.dir>/compat``.

    With ``pki.token``, the strict key is named in ``<pki.dir>/private.key.uri``.
    """
    pki = config.pki
    base = Path(pki.dir)
    return PkiPaths(
        dir=base,
        strict_chain=Path(pki.strict_chain or base / "chain.pem"),
        strict_key=Path(pki.strict_key or base / ("private.key" if pki.token is None else "private.key.uri")),
        strict_trust=Path(pki.strict_trust or base / "trust.pem"),
        compat_chain=Path(pki.compat_chain or base / "compat" / "chain.pem"),
        compat_key=Path(pki.compat_key or base / "compat" / "private.key"),
        compat_trust=Path(pki.compat_trust or base / "compat" / "trust.pem"),
        key_password_file=Path(pki.key_password_file) if pki.key_password_file else None,
        crl_dir=base / "crl",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshPaths:
    """Of our certificate in the mesh, its key, the mesh's authority, and its revocation lists."""

    dir: Path
    chain: Path
    key: Path
    ca: Path
    crl_dir: Path


def mesh_paths(config: Config) -> MeshPaths:
    """``mesh.dir``, or ``<pki.dir>/mesh``."""
    return mesh_paths_in(Path((config.mesh.dir if config.mesh is not None else "") or Path(config.pki.dir) / "mesh"))


def mesh_paths_in(folder: Path) -> MeshPaths:
    return MeshPaths(
        dir=folder,
        chain=folder / "chain.pem",
        key=folder / "private.key",
        ca=folder / "ca.pem",
        crl_dir=folder / "crl",
    )


def sensor_map_path(config: Config, config_dir: Path) -> Path:
    """``sensor_map`` is relative to the configuration directory."""
    return config_dir / config.sensor_map


def meter_feed_path(config: Config) -> Path:
    """Where the meter feed is served, if it is configured."""
    feed = config.utility.meter_feed
    return Path((feed.path if feed is not None else "") or run_paths(config).run_dir / "meters.sock")
