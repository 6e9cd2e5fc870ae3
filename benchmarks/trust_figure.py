"""The table and the figure of docs/keypoints.md from benchmarks/results/trust.json; see `trust.py`.

python benchmarks/trust_figure.py       needs matplotlib
"""

import json
from pathlib import Path

import page

ROOT = Path(__file__).parents[1]
PAGE, FIGURE = ROOT / "docs" / "keypoints.md", ROOT / "docs" / "images" / "trust.png"
LEAST_POINTS = 10
"""Of a class of scores with fewer points, no error is told."""


def table(results: dict) -> str:
    """Return the rows of the page: of each part and class, how many points, and how far off they are."""
    lines = [
        "| part | score | points | median error | 90% are within | gross errors |",
        "|---|---|---|---|---|---|",
    ]
    for part, measured in results["parts"].items():
        for row in measured["rows"]:
            if row["points"] < LEAST_POINTS:
                continue
            errors = " | ".join(f"{row[key]:.1%}" for key in ("median", "p90", "far"))
            lines.append(f"| {part} | {row['score']} | {row['points']} | {errors} |")
    return "\n".join(lines)


def rewritten(text: str, results: dict) -> str:
    """Return the page with the table of the results."""
    return page.rewritten(text, {"trust": table(results)}, PAGE.name)


def draw(results: dict, path: Path) -> None:
    """Draw the median error, and that of nine in ten points, against the score of each part."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(11, 3.2), sharey=True, layout="constrained")
    for axis, (part, measured) in zip(axes, results["parts"].items(), strict=True):
        rows = [row for row in measured["rows"] if row["points"] >= LEAST_POINTS and " - " in row["score"]]
        edges = [[float(edge) for edge in row["score"].split(" - ")] for row in rows]
        middles = [(low + high) / 2 for low, high in edges]
        for key, label, style in (("median", "half of the points", "o-"), ("p90", "nine in ten", "s--")):
            axis.plot(middles, [100 * row[key] for row in rows], style, label=label, markersize=4)
        least = results["edges"][1 if part == "hands" else 2]
        axis.axvline(least, color="0.5", linewidth=1, label="trusted from here on")
        axis.set(title=f"{part}, {measured['points']} points", xlabel="score", xlim=(0, 1), ylim=(0, 90))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("error, % of the part's length")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "trust.json").read_text())
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    draw(results, FIGURE)


if __name__ == "__main__":
    main()
