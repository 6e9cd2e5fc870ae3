"""The house as docs/architecture.md describes it: few modules in the root, and one word for one thing."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hprnet_rt"
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MOST_ROOT_MODULES = 12
UNCLEAR = frozenset(
    [
        "Here",
        "Wanted",
        "Done",
        "Finding",
        "Report",
        "Parcel",
        "Estimated",
        "Overlapping",
        "EngineFile",
        "mark",
        "marks",
        "hub",
        "said",
        "only_run",
        "require_room",
        "_choices",
        "compression",
        "followers",
        "known_stages",
        "engine_for",
    ]
)
"""Old names of this package, private words for what has a name in the field."""
UNCLEAR_IN = {"zoo": {"transfer"}, "training": {"Workers"}, "backends/trt": {"Session"}}
GONE = [
    "annotate",
    "batch",
    "earlier",
    "estimator",
    "finding",
    "heads",
    "inputs",
    "jobs",
    "marks",
    "outputs",
    "predict",
    "redraw",
    "regions",
    "stages",
    "backends/engine_file",
    "commands/choice",
    "video/keypoints",
    "video/stream",
    "zoo/transfer",
]


def identifiers(tree):
    """Every name that a module defines, uses, imports or passes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.alias):
            yield from ((part, node.lineno) for part in (*node.name.split("."), node.asname or ""))


def test_the_root_holds_few_modules():
    modules = [path.stem for path in PACKAGE.glob("*.py") if path.stem not in ("__init__", "__main__")]
    assert len(modules) <= MOST_ROOT_MODULES, modules


@pytest.mark.parametrize("module", TREES)
def test_no_unclear_name_is_left(module):
    unclear = UNCLEAR.union(*(names for place, names in UNCLEAR_IN.items() if module.startswith(place)))
    found = [f"{name} in line {line}" for name, line in identifiers(TREES[module]) if name in unclear]
    assert found == []


@pytest.mark.parametrize("module", GONE)
def test_a_module_that_was_renamed_is_gone(module):
    assert not (PACKAGE / f"{module}.py").exists()


@pytest.mark.parametrize("module", TREES)
def test_docstrings_of_functions_begin_with_a_verb(module):
    def first_word(node):
        return (ast.get_docstring(node) or "x").split()[0].rstrip(",:;")

    def is_property(node):
        return any(
            getattr(each, "attr", getattr(each, "id", "")).endswith("property")
            for each in node.decorator_list
        )

    functions = [node for node in ast.walk(TREES[module]) if isinstance(node, ast.FunctionDef)]
    functions = [node for node in functions if not is_property(node)]  # those are named like things
    asked = [
        f"{node.name}, line {node.lineno}"
        for node in functions
        if first_word(node) in ("What", "Whether", "How")
    ]
    assert asked == []


@pytest.mark.parametrize("module", TREES)
def test_no_tuple_is_starred_to_save_a_line(module):
    starred = [
        node.lineno
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple)
    ]
    assert starred == []
