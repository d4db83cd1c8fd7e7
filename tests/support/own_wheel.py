"""A wheel of this source tree under another version, made without a build backend: a soak test needs several in a
second each, and offline."""

from __future__ import annotations

import base64
import hashlib
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Change = Callable[[str, str], str]
"""(name below ``src``, text) -> text."""


def make_wheel(folder: Path, version: str, change: Change = lambda name, text: text) -> Path:
    """Ours, of ``version``. ``change`` may alter what is in it."""
    project = _project()["project"]
    scripts = "\n".join(f"{name} = {place}" for name, place in project["scripts"].items())
    needs = "\n".join(f"Requires-Dist: {each}" for each in project["dependencies"])
    files = {
        path.relative_to(ROOT / "src").as_posix(): path.read_bytes()
        for path in sorted((ROOT / "src").rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and ".egg-info" not in path.as_posix()
    }
    files = {
        name: change(name, data.decode()).encode() if name.endswith(".py") else data for name, data in files.items()
    }
    for place, patterns in _project()["tool"]["setuptools"]["data-files"].items():
        for path in (each for pattern in patterns for each in ROOT.glob(pattern) if each.is_file()):
            files[f"v2g_orchestrator-{version}.data/data/{place}/{path.name}"] = path.read_bytes()
    own = files["v2g/__init__.py"].decode()
    files["v2g/__init__.py"] = own.replace(f'"{project["version"]}"', f'"{version}"').encode()
    meta = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\nRequires-Python: >=3.11\n{needs}\n"
    return _write(folder, "v2g_orchestrator", version, files, meta, f"[console_scripts]\n{scripts}\n")


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def never_comes_up(name: str, text: str) -> str:
    """A :data:`Change`: a release whose code is whole, and whose daemon fails at every start."""
    if name != "v2g/orchestrator/main.py":
        return text
    head, found, tail = text.partition("    async def main(self)")
    assert found
    body = tail.index('"""\n', tail.index('"""') + 3) + 4
    return f'{head}{found}{tail[:body]}        raise RuntimeError("this release is broken")\n{tail[body:]}'


def make_borrowing_wheel(folder: Path, site: str = "") -> Path:
    """Instead of all that ours needs: a path to the packages of another environment; empty: that tests run in."""
    site = site or sysconfig.get_paths()["purelib"]
    meta = "Metadata-Version: 2.1\nName: borrowed\nVersion: 1.0\n"
    return _write(folder, "borrowed", "1.0", {"borrowed.pth": f"{site}\n".encode()}, meta, "")


def _write(folder: Path, name: str, version: str, files: dict[str, bytes], metadata: str, scripts: str) -> Path:
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        files[f"{info}/entry_points.txt"] = scripts.encode()
    rows = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
    return made


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
