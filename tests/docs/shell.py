"""As much of a shell as the pages use: words, quotes, comments, pipes and redirection, one command a line.

`hprnet-rt` runs in this process: a new one would take two seconds to begin.
"""

import contextlib
import itertools
import shlex
import subprocess
import sys
from pathlib import Path

from hprnet_rt import cli


def words_of(command):
    """Return the words of a command; `|`, `<` and `>` are words of their own."""
    words = shlex.shlex(command, posix=True, punctuation_chars="|<>")
    words.whitespace_split = True
    return list(words)


def stages_of(command):
    """Return the words of each program in a pipe, and the files of its standard streams, None for none."""
    stages = [[]]
    files = {"<": None, ">": None}
    words = iter(words_of(command))
    for word in words:
        if word == "|":
            stages.append([])
        elif word in files:
            files[word] = Path(next(words))
        else:
            stages[-1].append(word)
    return stages, files["<"], files[">"]


def run(command, folder):
    """Run a command of a page in the working directory.

    Args:
        command: one line.
        folder: for what programs of a pipe say to one another.

    Raises:
        AssertionError: a program failed, or an output that is named by `-o` is not there.
    """
    stages, given, wanted = stages_of(command)
    for number, words in enumerate(stages):
        last = number == len(stages) - 1
        told = wanted if last and wanted else folder / f"{number}.out"
        program = _hprnet if words[0] == "hprnet-rt" else _other
        with told.open("w") as output, given.open() if given else contextlib.nullcontext() as source:
            code = program(words, source, output)
        assert code == 0, f"{command} ended with {code}"
        given = told
    for words in stages:
        for option, value in itertools.pairwise(words):
            if option in ("-o", "--out") and value != "-":
                assert Path(value).exists(), f"{command} wrote no {value}"


def _hprnet(words, source, output):
    before, sys.stdin = sys.stdin, source
    try:
        with contextlib.redirect_stdout(output):
            return cli.main(words[1:])
    finally:
        sys.stdin = before


def _other(words, source, output):
    return subprocess.run(words, stdin=source or subprocess.DEVNULL, stdout=output, check=False).returncode
