"""The pages of pyiso15118: ``python -m pyiso15118.docs.build`` in a checkout makes them below ``build/docs``.

Needs pdoc (extra ``docs`` of the project). Docstrings become a page for each module, README.md the first page. The
protocol tour is of a session that our vehicle and our station hold while the pages are made, so that it is of this code
and of nobody's data; each capture given with ``--capture`` gets such a page, too. Ends with 1, and says why, where a
public name has no docstring, a link leads nowhere, or pdoc warns.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pdoc
import pdoc.doc
import pdoc.render
import pdoc.render_helpers

import pyiso15118
from pyiso15118.capture import Captured, CaptureError, frames
from pyiso15118.docs import tour
from pyiso15118.docs.session import Told, session

_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent
_SCHEMA_NAMES = "pyiso15118.messages."
"""Below it classes are the schemas' types, by whose names the standard explains them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pages; 1 where they are not as they should be."""
    parser = argparse.ArgumentParser(prog="build.py", description="The pages of pyiso15118.")
    parser.add_argument("--output", type=Path, default=_PACKAGE.parents[1] / "build" / "docs", help="made anew")
    parser.add_argument("--capture", type=Path, action="append", default=[], help="one more tour, of this capture")
    given = parser.parse_args(arguments)
    try:
        problems = build(given.output, given.capture)
    except (tour.TourError, CaptureError, OSError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"build.py: {problem}", file=sys.stderr)
    if not problems:
        print(given.output / "index.html")
    return 1 if problems else 0


def build(output: Path, captures: Sequence[Path] = ()) -> list[str]:
    """Make the pages in ``output``; what is wrong with them. Raises TourError, CaptureError and OSError."""
    if output.exists() and not (output / "pyiso15118.html").exists() and any(output.iterdir()):
        return [f"{output} is not empty and holds no such pages: give another --output"]
    tours = {"tour.html": ("Our vehicle at our station", session())}
    for number, path in enumerate(captures, 1):
        tours[f"capture-{number}.html"] = (path.stem, _captured(path))
    shutil.rmtree(output, ignore_errors=True)
    names = modules()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pdoc.render.configure(docformat="restructuredtext", show_source=False, template_directory=_HERE / "templates")
        pdoc.render.env.globals["version"] = pyiso15118.__version__
        # Each module by itself: pdoc would add all below it.
        specs = [spec for name in names for spec in (name, f"!{re.escape(name)}\\..+")]
        pdoc.pdoc(*specs, output_directory=output)
        for name, (title, told) in tours.items():
            body = tour.body(told, _to_html, lambda module, name: _address(names, module, name))
            on_page = [(section.title, section.anchor) for section in tour.sections()[1]]
            _page(
                output / name,
                f"Protocol tour: {title}",
                f"<h1>Protocol tour: {title}</h1>{body}",
                tours,
                names,
                on_page,
            )
        readme = _to_html((_PACKAGE / "README.md").read_text(encoding="utf-8"))
        _page(output / "index.html", "pyiso15118", readme, tours, names)
    problems = [f"warning: {each.message}" for each in caught]
    problems += [f"{name} has no docstring" for name in undocumented(names)]
    return problems + broken_links(output)


def modules() -> list[str]:
    """What has a page: each module that is to be used, and of a package that says what it exports the package alone."""
    names = ["pyiso15118"]
    for name in _below(pyiso15118):
        module = importlib.import_module(name)
        _resolve(module)
        names.append(name)
        if hasattr(module, "__path__") and (not hasattr(module, "__all__") or name == "pyiso15118.messages"):
            names += _below(module)
    for name in names:
        _resolve(importlib.import_module(name))
    return names


def undocumented(names: Sequence[str]) -> list[str]:
    """Public modules, classes, functions and methods on the pages that nobody explains."""
    found = []
    for name in names:
        module = pdoc.doc.Module(importlib.import_module(name))
        if not module.docstring:
            found.append(name)
        found += [
            f"{name}.{member.qualname}"
            for member in _members(module)
            if not member.docstring and not member.modulename.startswith(_SCHEMA_NAMES)
        ]
    return list(dict.fromkeys(found))


def broken_links(folder: Path) -> list[str]:
    """Of all pages: links to files or places that are not there."""
    pages = {path: _Page(path) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            other = next((each for known, each in pages.items() if known.resolve() == target), None)
            if not target.is_file() or (parts.fragment and (other is None or parts.fragment not in other.places)):
                found.append(f"{path.relative_to(folder)}: the link {link} leads nowhere")
    return list(dict.fromkeys(found))


class _Page(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.places.add(value)
            elif value and name in ("href", "src") and not value.startswith("data:"):
                self.links.append(value)


def _below(package: ModuleType) -> list[str]:
    names = [info.name for info in pkgutil.iter_modules(package.__path__) if not info.name.startswith("_")]
    return [f"{package.__name__}.{name}" for name in sorted(names) if name != "docs"]


def _resolve(module: ModuleType) -> None:
    """What a module would import when first asked for it."""
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))


def _members(within: pdoc.doc.Namespace[Any]) -> Iterator[pdoc.doc.Doc[Any]]:
    for member in within.own_members:
        explained = isinstance(member, pdoc.doc.Class | pdoc.doc.Function)
        explained = explained or isinstance(vars(within.obj).get(member.name), property | cached_property)
        if member.name.startswith("_") or not explained:
            continue
        yield member
        if isinstance(member, pdoc.doc.Class):
            yield from _members(member)


def _address(names: Sequence[str], module: str, name: str) -> str:
    """Of a class on its page: the module's, or the package's that exports it."""
    while module not in names:
        module = module.rpartition(".")[0]
    return f"{module.replace('.', '/')}.html#{name}"


def _captured(path: Path) -> list[Told]:
    return tour.from_capture([each for each in frames([path.read_bytes()]) if isinstance(each, Captured)])


def _to_html(text: str) -> str:
    return str(pdoc.render_helpers.to_html(re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)))


def _page(
    path: Path,
    title: str,
    body: str,
    tours: dict[str, tuple[str, list[Told]]],
    names: Sequence[str],
    sections: Sequence[tuple[str, str]] = (),
) -> None:
    page = pdoc.render.env.get_template("page.html.jinja2").render(
        title=title,
        body=body,
        tours=[(name, target) for target, (name, _) in tours.items()],
        modules=names,
        sections=sections,
    )
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
