"""A hook of mkdocs.yml: files outside docs/ that pages name, such as `../CHANGELOG.md`, come into the site.

So the same links lead somewhere on GitHub and on the site.
A Markdown file becomes a page of the site, others are copied; all of them lie below files/.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]
_DOCS = "docs/"
_LINK = re.compile(r"(?<=\]\()(?P<target>[^)#\s:]+)(?=[)#])")


def on_config(config: Any) -> None:
    """Let the navigation name such files too."""
    config.nav = _renamed(config.nav)


def on_files(files: Files, config: Any) -> Files:
    """Add the files that pages name, and those that these name in turn."""
    named = [_origin(uri) for uri in _pages_of(config.nav)]
    named += [_DOCS + page.src_uri for page in files.documentation_pages()]
    seen: set[str] = set()
    while named:
        path = named.pop()
        if path in seen or not (ROOT / path).is_file():  # what is missing is mkdocs' to say
            continue
        seen.add(path)
        if not path.startswith(_DOCS):
            file = File.generated(config, _place(path), abs_src_path=str(ROOT / path))
            file.inclusion = InclusionLevel.INCLUDED
            files.append(file)
        if path.endswith(".md"):
            text = (ROOT / path).read_text(encoding="utf-8")
            named += [_named(path, link["target"]) for link in _LINK.finditer(text)]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with its links leading to where the site has these files."""
    origin, here = _origin(page.file.src_uri), posixpath.dirname(page.file.src_uri)

    def moved(link: re.Match[str]) -> str:
        path = _named(origin, link["target"])
        return posixpath.relpath(_place(path), here or ".") if (ROOT / path).is_file() else link["target"]

    return _LINK.sub(moved, markdown)


def _renamed(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_renamed(each) for each in nav]
    if isinstance(nav, dict):
        return {title: _renamed(each) for title, each in nav.items()}
    return _place(_named(f"{_DOCS}index.md", nav))


def _pages_of(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for each in (nav.values() if isinstance(nav, dict) else nav) for page in _pages_of(each)]


def _named(origin: str, target: str) -> str:
    """Return the path in the checkout of what a page, whose own path there is `origin`, calls `target`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))


def _place(path: str) -> str:
    """Return where the site has a file of the checkout."""
    return path.removeprefix(_DOCS) if path.startswith(_DOCS) else f"files/{path}"


def _origin(uri: str) -> str:
    """Return the path in the checkout of what the site has at `uri`."""
    return uri.removeprefix("files/") if uri.startswith("files/") else _DOCS + uri
