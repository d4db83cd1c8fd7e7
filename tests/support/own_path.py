"""This package and the one other that its codec needs, for a Python that has neither."""

from __future__ import annotations

import sysconfig
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"


def python_path(folder: Path) -> str:
    """``folder``, made a PYTHONPATH of pyiso15118 and msgspec and nothing else, for a Python of our own version."""
    folder.mkdir(exist_ok=True)
    for package in (SRC / "pyiso15118", Path(sysconfig.get_path("platlib")) / "msgspec"):
        link = folder / package.name
        if not link.exists():
            link.symlink_to(package)
    return str(folder)
