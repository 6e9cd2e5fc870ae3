"""The cost of the released code's wrong matches of faces and hands: the same heads, matched in both ways.

    python benchmarks/matching.py

The input is five synthetic scenes with twelve people (tests/golden/decode.npz), with nearly perfect heads.
"""

import sys
from pathlib import Path

from hprnet_rt.evaluation import compare, evaluate, read_annotations, to_text

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.evaluation.sets import decoded, golden_annotations


def main() -> None:
    truth = read_annotations(golden_annotations())
    released, ours = (evaluate(truth, decoded(name), name=name) for name in ("released", "one-to-one"))
    print(to_text(compare(released, ours)), end="")


if __name__ == "__main__":
    main()
