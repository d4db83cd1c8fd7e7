from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from v2g.config.loader import load
from v2g.config.paths import pki_paths, run_paths, sensor_map_path

Configure = Callable[..., Path]


def test_everything_is_in_its_directory_by_default(configure: Configure) -> None:
    config_dir = configure()
    config = load(config_dir).config
    paths = run_paths(config)
    assert paths.control_sock == Path("/run/v2g/control.sock")
    assert paths.waveform == Path("/run/v2g/waveform")
    assert paths.comms_log == Path("/var/log/v2g/comms.log")
    assert pki_paths(config).compat_key == Path("/etc/ssl/v2g/compat/private.key")
    assert paths.history == Path("/var/lib/v2g/history.sqlite")
    assert pki_paths(config).key_password_file is None
    assert sensor_map_path(config, config_dir) == config_dir / "sensor_map.conf"


def test_named_places_win(configure: Configure) -> None:
    text = (
        "{waveform: {buffer_path: /dev/shm/w}, breaker: {output_path: /b}, paths: {run_dir: /r}, pki: {strict_key: /k}}"
    )
    config = load(configure(**{"50-x": text})).config
    paths = run_paths(config)
    assert (paths.waveform, paths.breaker, paths.tick_sock) == (Path("/dev/shm/w"), Path("/b"), Path("/r/tick.sock"))
    assert pki_paths(config).strict_key == Path("/k")
