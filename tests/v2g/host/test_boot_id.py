from __future__ import annotations

from pathlib import Path

import pytest

from v2g.host import boot


def test_it_is_the_kernels_without_hyphens() -> None:
    kernels = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert boot.boot_id() == kernels.replace("-", "")
    assert len(boot.boot_id()) == 32


def test_where_a_sandbox_hides_it_the_unit_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot, "_FILE", tmp_path / "hidden")
    monkeypatch.setenv("V2G_BOOT_ID", "0123456789abcdef0123456789abcdef")
    assert boot.boot_id() == "0123456789abcdef0123456789abcdef"
    monkeypatch.delenv("V2G_BOOT_ID")
    assert boot.boot_id() == ""
