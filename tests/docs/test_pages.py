"""The README is a page, and what pages name is there."""

import argparse
import re

import pytest

from hprnet_rt import cli
from tests.docs.blocks import PAGES, ROOT

README_LINES = 150
COMMANDS = tuple(cli._COMMANDS)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_PROGRAM = re.compile(r"\b(?:benchmarks|demos|engines|tests|hprnet_rt)/[\w/.-]+\.\w+")
_OF_OTHERS = ("git", "make", "pip", "py", "pytest", "python", "ray")
_OF_PROGRAMS = {  # which benchmarks and the scripts beside the model take
    option
    for folder in ("benchmarks", "engines")
    for path in (ROOT / folder).rglob("*.py")
    for option in re.findall(r'"(--[\w-]+)"', path.read_text(encoding="utf-8"))
}


def text_of(page):
    return page.read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len(text_of(ROOT / "README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_files_that_a_page_names_are_there(page):
    links = [link for link in _LINK.findall(text_of(page)) if "://" not in link]
    named = [(page.parent / link.partition("#")[0]) for link in links if not link.startswith("#")]
    named += [ROOT / path for path in _PROGRAM.findall(text_of(page))]
    missing = [str(path) for path in named if not path.exists()]
    assert missing == []


def test_anchors_that_the_readme_names_are_there():
    anchors = re.findall(r"\]\(([\w/]+\.md)#([\w-]+)\)", text_of(ROOT / "README.md"))
    assert anchors
    for path, anchor in anchors:
        titles = re.findall(r"^#+ (.+)$", text_of(ROOT / path), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.fixture(scope="module")
def options_of():
    """The options of each command, those of its own commands too."""

    def options(parser):
        found = set(parser._option_string_actions)
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= set().union(*map(options, action.choices.values()))
        return found

    def command(name):
        (commands,) = (
            each for each in cli._parser([name])._actions if isinstance(each, argparse._SubParsersAction)
        )
        return options(commands.choices[name])

    return {name: command(name) for name in COMMANDS}


def unknown_options(text, options_of):
    """Return the options in the code of a sentence that the command beside them, or every command, lacks."""
    unknown = []
    for code in _CODE.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
        words = code.removeprefix("hprnet-rt ").split()
        if words[0] in _OF_OTHERS:
            continue
        known = options_of.get(words[0], set().union(*options_of.values()) | _OF_PROGRAMS)
        unknown += [word for word in words if re.match(r"--\w", word) and word.partition("=")[0] not in known]
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_options_that_a_page_names_are_known(page, options_of):
    assert unknown_options(text_of(page), options_of) == []


def test_an_option_of_another_command_is_seen(options_of):
    assert unknown_options("`live --regions auto`, `hprnet-rt annotate --regions auto`", options_of) == [
        "--regions"
    ]
    assert unknown_options("`--size 640`, `--no-such`", options_of) == ["--no-such"]
