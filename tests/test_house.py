"""The house as docs/architecture.md describes it: few modules in the root, and one word for one thing."""

import ast
from pathlib import Path

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


def test_no_unclear_name_is_left():
    found = [
        f"{name} in {module}, line {line}"
        for module, tree in TREES.items()
        for name, line in identifiers(tree)
        if name in UNCLEAR or any(name in UNCLEAR_IN[room] for room in UNCLEAR_IN if module.startswith(room))
    ]
    assert found == []


def test_modules_that_were_renamed_are_gone():
    assert [module for module in GONE if (PACKAGE / f"{module}.py").exists()] == []


def is_property(function):
    names = (getattr(each, "attr", getattr(each, "id", "")) for each in function.decorator_list)
    return any(name.endswith("property") for name in names)


def test_docstrings_of_functions_begin_with_a_verb():
    """Those of properties are named like things."""
    asking = [
        f"{node.name} in {module}, line {node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and not is_property(node)
        if (ast.get_docstring(node) or "x").split()[0].rstrip(",:;") in ("What", "Whether", "How")
    ]
    assert asking == []


def test_no_tuple_is_starred_to_save_a_line():
    starred = [
        f"{module}, line {node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple)
    ]
    assert starred == []
