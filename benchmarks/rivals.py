"""Everyone's time against the number of people: picture, figures, and who slows by how much.

    python benchmarks/rivals.py [arguments of `hprnet-rt bench people`]

It writes results/rivals.json, and docs/images/rivals.svg and .png.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from machine import RESULTS

from hprnet_rt.bench.people import ALL
from hprnet_rt.bench.report import read_report
from hprnet_rt.cli import main as command
from hprnet_rt.words import counted

IMAGES = Path(__file__).parents[1] / "docs" / "images"
ARGUMENTS = ("bench", "people", "--rivals", "--zoomnet", "--peer-people", "1", "2", "4")


def at(line, people):
    """Milliseconds of a rival for a number of people, and whether they were measured."""
    whole, extended = line["whole_ms"], line["extended_ms"]
    key = str(people)
    return (whole[key], True) if key in whole else (extended[key], False)


def rows(report):
    """Name, milliseconds for few and for many people, and whether the latter were measured."""
    counts, summary = report.settings["counts"], report.summary
    few, many = min(n for n in counts if n), max(counts)
    own = (report.find(counted(n, "person"), ALL).p50_ms for n in (few, many))
    found = [(report.settings["model"], *own, True)]
    for name, line in summary["peers"].items():
        found.append((name, *(line["fixed_ms"] + line["ms_per_person"] * n for n in (few, many)), False))
    for name, line in summary["rivals"].items():
        (one, _), (most, measured) = at(line, few), at(line, many)
        found.append((name, one, most, measured))
    return few, many, found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    _, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        code = command([*ARGUMENTS, "--out", folder, *more])
        if code:
            sys.exit(code)
        shutil.copyfile(Path(folder) / "people.json", RESULTS / "rivals.json")
        for name in ("rivals.svg", "rivals.png"):
            shutil.copyfile(Path(folder) / name, IMAGES / name)
    few, many, found = rows(read_report(RESULTS / "rivals.json"))
    print(f"\n| | {few}, ms | {many}, ms | ratio |\n|---|---:|---:|---:|")
    for name, one, most, measured in found:
        print(f"| {name} | {one:.0f} | {'' if measured else '~'}{most:.0f} | {most / one:.2f} |")


if __name__ == "__main__":
    main()
