"""The pages become a site that is whole, and asks no server for anything."""

import os
import re
import subprocess
import sys

import pytest

import hprnet_rt
from tests.docs.blocks import PAGES, ROOT

pytest.importorskip("material", reason="the site needs mkdocs-material: pip install '.[docs]'")
pytest.importorskip(
    "mkdocstrings_handlers.python", reason="the reference needs mkdocstrings: pip install '.[docs]'"
)
_FETCHED = re.compile(r"""<(?:link|script|img|iframe|source|video)\b[^>]*?\b(?:href|src)=["']?([^"'\s>]+)""")
_FETCHED_BY_STYLE = re.compile(r"""(?:@import\s*|url\(\s*)["']?(https?:[^"')]+|//[^"')]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            folder,
        ],  # --quiet counts no warnings
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_every_page_is_in_the_navigation(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    navigation = home[home.index("md-nav--primary") :]
    for page in PAGES[1:]:
        assert f'href="{page.stem}.html"' in navigation or page.stem == "index", page.name


def test_files_outside_the_folder_of_pages_are_in_the_site(site):
    changes = (site / "files" / "CHANGELOG.html").read_text(encoding="utf-8")
    assert 'href="../training.html"' in changes
    assert (site / "files" / "demos" / "sample.webp").stat().st_size < 1_500_000
    assert (site / "files" / "engines" / "hprnet-mobile.png").exists()


def test_the_reference_has_everything_public(site):
    reference = (site / "reference.html").read_text(encoding="utf-8")
    missing = [name for name in hprnet_rt.__all__ if f'id="hprnet_rt.{name}"' not in reference]
    assert missing == ["__version__"]
    assert "<blockquote" not in reference, "write Examples: in docstrings, not Example:"


def test_no_page_asks_a_server_for_anything(site):
    asked = [
        (path.name, address)
        for path in sorted(site.rglob("*.html"))
        for address in _FETCHED.findall(path.read_text(encoding="utf-8"))
        if "//" in address
    ]
    asked += [
        (path.name, address)
        for path in sorted(site.rglob("*.css"))
        for address in _FETCHED_BY_STYLE.findall(path.read_text(encoding="utf-8"))
    ]
    assert asked == []
