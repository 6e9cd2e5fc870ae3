"""Every block of code in the README and in docs/ runs as it stands, but for a counted list."""

import contextlib
import os
import re
import shutil
import tomllib
from collections import Counter

import cv2
import numpy as np
import pytest

from hprnet_rt import cli
from hprnet_rt.backends import create_backend
from hprnet_rt.errors import UsageError
from tests import clips
from tests.docs import shell
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, commands_of, indented_blocks_of

NOT_RUN = {
    "sets up a machine": 4,
    "a camera or a window": 3,
    "a server": 2,
    "a GPU": 3,
    "a cluster": 1,
    "weights that may not be passed on": 3,
    "COCO-WholeBody": 2,
    "training": 2,
    "minutes": 5,
}
"""Why blocks are not run, and how many. What they say is held against the commands all the same."""
OTHER_PROGRAMS = frozenset(["cd", "curl", "git", "jq", "python", "python3", "source", "torchrun"])
NO_CODE = frozenset(["text", "json"])
DRAWINGS = {"architecture.md": 1}
"""Indented blocks, which are no code."""
SIZE, FRAMES, SECONDS_APART = (480, 270), 5, 24
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    """Small videos and photos of the sample's people, under the names that the pages use."""
    folder = tmp_path_factory.mktemp("things")
    sample = cv2.VideoCapture(str(clips.SAMPLE))
    pictures = [cv2.resize(sample.read()[1], SIZE, interpolation=cv2.INTER_AREA) for _ in range(FRAMES)]
    for name in ("clips", "demos", "footage", "frames", "photos", "videos"):
        (folder / name).mkdir()

    def make(name, **options):
        draw = lambda index, *_: np.ascontiguousarray(pictures[index])  # noqa: E731
        return clips.make(folder / name, frames=FRAMES, size=SIZE, audio="aac", draw=draw, **options)

    video = make("video.mp4")
    for name in (
        *("clips/first.mp4", "demos/sample.mp4", "footage/one.mp4", "footage/two.mp4"),
        *("holiday.mp4", "night.mp4", "videos/holiday.mp4"),
    ):
        shutil.copy(video, folder / name)
    make("talk.mkv", rate=1, pts=range(0, FRAMES * SECONDS_APART, SECONDS_APART), time_base=1)
    for name in ("photo.jpg", "clips/photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        cv2.imwrite(str(folder / name), pictures[0])
    for number in range(2):
        cv2.imwrite(str(folder / "frames" / f"img_{number:04}.png"), pictures[number])
    (folder / "last").touch()
    os.utime(folder / "last", (0, 0))
    return folder


@pytest.fixture(scope="module")
def compiled():
    """What makes a backend, each but once for all pages, whatever the number of its threads."""
    made = {}

    def create(model_file, input_hw, *, threads=None, **choice):
        key = (model_file.path, input_hw, *sorted((name, str(value)) for name, value in choice.items()))
        if key not in made:
            made[key] = create_backend(model_file, input_hw, threads=threads, **choice)
            closing.callback(made[key].close)
            made[key].close = lambda: None
        return made[key]

    with contextlib.ExitStack() as closing:
        yield create


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_the_blocks_of_a_page_run_one_after_the_other(page, things, compiled, tmp_path, monkeypatch):
    work = tmp_path / "work"
    shutil.copytree(things, work)
    monkeypatch.chdir(work)
    monkeypatch.setattr("hprnet_rt.inference.model.create_backend", compiled)
    for block in blocks_of(page):
        if block.reason or block.language in NO_CODE:
            continue
        run(block, tmp_path)


def run(block, folder):
    if block.language == "sh":
        for command in commands_of(block):
            shell.run(command, folder)
    elif block.language == "python":
        exec(compile(block.code, block.place, "exec"), {"__name__": "__main__"})
    elif block.language == "toml":
        assert tomllib.loads(block.code)
    else:
        pytest.fail(f"{block.place} has no language that is run; write text where it is no code")


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_code_stands_between_fences_so_that_none_is_forgotten(page):
    assert indented_blocks_of(page) == DRAWINGS.get(page.name, 0)


def test_blocks_that_are_not_run_are_counted():
    assert Counter(block.reason for block in BLOCKS if block.reason) == NOT_RUN


NOT_RUN_COMMANDS = [
    pytest.param(command, id=f"{block.place} {command.split()[0]} {number}")
    for block in BLOCKS
    if block.reason and block.language == "sh"
    for number, command in enumerate(commands_of(block))
]


@pytest.mark.parametrize("command", NOT_RUN_COMMANDS)
def test_commands_that_are_not_run_could_be(command):
    understood(command)


def understood(command):
    """Raise an error for what cannot be right about a command of ours."""
    command = command.replace("<this repository>", "REPOSITORY").replace("&&", "|")
    for words in shell.stages_of(command)[0]:
        if words[0] == "hprnet-rt":
            arguments = words[1:]
        elif "hprnet_rt" in words:  # python -m
            arguments = words[words.index("hprnet_rt") + 1 :]
        elif words[0] == "make":
            assert set(words[1:]) <= TARGETS, command
            continue
        elif words[:2] == ["pip", "install"]:
            for extras in re.findall(r"\[(.*?)\]", command):
                assert set(extras.split(",")) <= set(EXTRAS), command
            continue
        else:
            assert words[0] in OTHER_PROGRAMS or (ROOT / words[0]).is_file(), command
            continue
        cli._parser(arguments).parse_args(arguments)


def test_what_cannot_be_right_is_seen():
    with pytest.raises(UsageError, match="--people"):
        understood("hprnet-rt annotate a.mp4 -o out --size 640 --people 64")
    for wrong in ('pip install ".[nonsense]"', "make everything", "nonsense a.mp4"):
        with pytest.raises(AssertionError):
            understood(wrong)


def test_a_block_whose_command_fails_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="ended with 2"):
        run(Block("page.md:1", "sh", "hprnet-rt annotate none.mp4 -o out\n", ""), tmp_path)
    with pytest.raises(AssertionError, match="wrote no out"):
        run(Block("page.md:1", "sh", "true -o out\n", ""), tmp_path)
    run(Block("page.md:1", "sh", "printf 'one\\ntwo\\n' | head -n 1 > first # but one\n", ""), tmp_path)
    assert (tmp_path / "first").read_text() == "one\n"
