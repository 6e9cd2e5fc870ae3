"""`hprnet-rt models`: list the networks, and get their weights."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from hprnet_rt.backends import ModelFile
from hprnet_rt.commands.console import DONE, INTERRUPTED, AddParser, complain, show_progress_of
from hprnet_rt.environment import CACHE_VARIABLE
from hprnet_rt.errors import UsageError
from hprnet_rt.spec.rivals import CROPS, OPENPOSE_WHOLEBODY
from hprnet_rt.zoo import cache
from hprnet_rt.zoo.download import MIRROR_VARIABLE, pull
from hprnet_rt.zoo.networks import ZOO, ZooEntry, zoo_entry
from hprnet_rt.zoo.rivals import RIVAL_ZOO, RivalEntry
from hprnet_rt.zoo.weights import import_checkpoint, weights_state

__all__ = ["add_parser"]

_HEADER: Final = ("NAME", "PARAMETERS", "GMAC", "INPUT", "WEIGHTS", "SIZE", "LICENCE", "FROM")
_NUMBERS: Final = tuple(_HEADER.index(name) for name in ("PARAMETERS", "GMAC", "INPUT", "SIZE"))
_LINE: Final = 90  # columns
_REPORTING: Final = (
    "hprnet_rt.model.convert",
    "hprnet_rt.zoo.download",
    "hprnet_rt.zoo.fetch",
    "hprnet_rt.zoo.weights",
)


def add_parser(add: AddParser) -> None:
    """Add the command and its arguments."""
    models = add(
        description="The networks of this project and their weights. Without an action: list.",
        epilog=f"environment: {CACHE_VARIABLE} the cache folder; {cache.OFFLINE_VARIABLE}=1 forbids "
        f"the network; {MIRROR_VARIABLE} an address below which pull looks for NAME.pth first",
    )
    models.set_defaults(run=_list, json=False)
    actions = models.add_subparsers(metavar="ACTION")

    action = actions.add_parser("list", help="name, size, cost, licence, origin; on this machine or not")
    action.add_argument("--json", action="store_true", help="for programs")
    action.set_defaults(run=_list)

    action = actions.add_parser("info", help="everything about one network")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(run=_info)

    action = actions.add_parser("pull", help="fetch the published weights and convert them")
    action.add_argument("name", metavar="NAME")
    action.add_argument("--url", help="fetch the checkpoint from this address only")
    action.add_argument(
        "--overwrite", action="store_true", help="fetch again, and accept a file that has changed"
    )
    action.add_argument("--no-import", action="store_true", help="do not convert it now")
    action.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    action.set_defaults(run=_pull)

    action = actions.add_parser("import", help="convert a checkpoint, and let NAME stand for it")
    action.add_argument("name", metavar="NAME")
    action.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        help="a checkpoint (.pth) of that network, or where it was released so a Caffe model (.caffemodel)",
    )
    action.add_argument(
        "--overwrite", action="store_true", help="convert it again even if it is converted already"
    )
    action.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    action.set_defaults(run=_import)

    action = actions.add_parser("remove", help="delete a network's files from the cache")
    action.add_argument("name", metavar="NAME")
    action.set_defaults(run=_remove)


def _print(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(text, flush=True)


def _size(number: float) -> str:
    """Return a number of bytes in kB or MB."""
    if number < 1e6:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e6:.0f} MB" if number >= 10e6 else f"{number / 1e6:.1f} MB"


def _files(entry: ZooEntry, state: str) -> list[Path]:
    """Return the network's files on this machine."""
    if state != "shipped":
        return cache.files_of(entry.name)
    path = ModelFile.find(entry.name).path
    return [path, path.with_suffix(".json"), *cache.files_of(entry.name)]


def _facts(entry: ZooEntry) -> dict[str, Any]:
    """Return the facts about a network, as plain values."""
    state = weights_state(entry.name)
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "gmac": entry.gmac,
        "gmac_dense": entry.gmac_dense,
        "input_px": entry.spec.input_px,
        "multiple_px": entry.spec.multiple_px,
        "licence": entry.licence,
        "terms": entry.terms,
        "origin": entry.origin,
        "page": entry.page,
        "sha256": entry.sha256,
        "weights": state,
        "files": [
            {"path": str(path), "bytes": path.stat().st_size}
            for path in _files(entry, state)
            if path.exists()
        ],
    }


def _list(options: argparse.Namespace) -> int:
    entries = {**ZOO, **RIVAL_ZOO}
    networks = [_facts(entry) for entry in entries.values()]
    if options.json:
        print(json.dumps(networks, indent=1))
        return DONE
    rows = [_HEADER]
    for facts in networks:
        on_disk = sum(file["bytes"] for file in facts["files"])
        entry = entries[facts["name"]]
        to_fetch = f"~{_size(entry.float32_bytes)}" if entry.published and entry.parameters else "-"
        rows.append(
            (
                facts["name"],
                f"{facts['parameters'] / 1e6:.2f} M",
                f"{facts['gmac']:g}",
                _input(entry),
                facts["weights"],
                _size(on_disk) if on_disk else to_fetch,
                facts["licence"],
                facts["origin"],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.rjust(width) if column in _NUMBERS else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print("\nGMAC: 1e9 multiply-accumulates of the input. SIZE: on this machine, or about (~) to fetch.")
    print("openpose-* and ae-*: networks of others, whose weights you bring (docs/rivals.md).")
    print("More: hprnet-rt models info NAME")
    return DONE


def _input(entry: ZooEntry) -> str:
    """Return the size of the usual input: the side of a square, or width and height."""
    if isinstance(entry, RivalEntry):
        return "x".join(map(str, entry.input_wh))
    return str(entry.spec.input_px)


def _info(options: argparse.Namespace) -> int:
    entry = zoo_entry(options.name)
    facts = _facts(entry)
    spec = entry.spec
    rows: list[tuple[str, str]] = [
        ("weights", facts["weights"]),
        ("parameters", f"{entry.parameters:,}"),
    ]
    if isinstance(entry, RivalEntry):
        width, height = entry.input_wh
        side = "shorter side" if spec.decoding == "associative" else "height"
        rows.append(("input", f"{spec.input_px} px of {side}, in multiples of {spec.multiple_px}"))
        cost = f"{entry.gmac:g} at {width} x {height}"
        if entry.parts:
            hand, face = (RIVAL_ZOO[name].gmac for name in CROPS)
            cost += f", and {hand:g} for each hand, {face:g} for each face that is looked at"
    else:
        rows.append(("input", f"{spec.input_px} px on the longer side, in multiples of {spec.multiple_px}"))
        cost = f"{entry.gmac:g} ({entry.gmac_dense:g} with dense heads) at {spec.input_px} x {spec.input_px}"
    rows.append(("GMAC", cost))
    rows.append(("knows", ", ".join(spec.trained)))
    if not isinstance(entry, RivalEntry):
        rows += [
            ("joints", ", ".join(spec.joints)),
            ("parts", ", ".join(f"{part.name} ({part.num_keypoints})" for part in spec.parts) or "none"),
        ]
    rows += [
        ("heads", ", ".join(f"{head.name} ({head.channels})" for head in spec.heads)),
        ("from", f"{entry.origin}, {entry.page}"),
        ("licence", entry.licence),
        ("terms", entry.terms),
        ("SHA-256", _sha256(entry)),
    ]
    rows += [("file", f"{file['path']} ({_size(file['bytes'])})") for file in facts["files"]]
    if facts["weights"] == "shipped":
        rows.append(("model card", str(ModelFile.find(entry.name).path.with_suffix(".md"))))
    rows.append(("to get it", _how(entry, facts["weights"])))
    print(entry.name)
    for label, text in rows:
        lines = textwrap.wrap(text, _LINE, break_long_words=False, break_on_hyphens=False)
        print(f"  {label:<11} " + f"\n{'':14}".join(lines))
    return DONE


def _sha256(entry: ZooEntry) -> str:
    """Return the SHA-256 that the weights must have, and its origin."""
    if weights_state(entry.name) == "shipped":
        return f"{ModelFile.find(entry.name).sha256} (of the model file)"
    if entry.sha256:
        return f"{entry.sha256} (of the checkpoint)"
    record = cache.read_record(cache.checkpoint_path(entry.name).with_suffix(".json"))
    if record:
        return f"{record.get('sha256')} (of the checkpoint, recorded at the first pull, {record.get('date')})"
    return "not known yet: the first pull records it" if entry.released else "-"


def _how(entry: ZooEntry, state: str) -> str:
    """Return how to get the weights."""
    if state == "shipped":
        return "it comes with the package"
    return entry.how


def _pull(options: argparse.Namespace) -> int:
    entry = zoo_entry(options.name)
    if weights_state(entry.name) == "shipped":
        if options.url:
            raise UsageError(
                f"{entry.name} comes with the package; to run it with other weights, download them and use: "
                f"hprnet-rt annotate --model {entry.name} --weights FILE"
            )
        _print(options, f"{entry.name} comes with the package: nothing to fetch")
        return DONE
    if not options.quiet:
        show_progress_of(*_REPORTING)
    bar: tqdm[Any] = tqdm(
        desc=entry.name,
        unit="B",
        unit_scale=True,
        file=sys.stderr,
        disable=options.quiet or None,  # None: only on a terminal
        dynamic_ncols=True,
        leave=False,
    )

    def progress(done: int, total: int | None) -> None:
        bar.total = total
        bar.update(done - bar.n)

    try:
        with bar:
            found = pull(entry, url=options.url, overwrite=options.overwrite, progress=progress)
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C; what has arrived is kept, and the same command continues there")
        return INTERRUPTED
    _print(options, f"{'fetched' if found.fresh else 'already here:'} {found.path} ({_size(found.size)})")
    first = ", recorded: later pulls must match it" if found.fresh and not entry.sha256 else ""
    _print(options, f"SHA-256 {found.sha256}{first}")
    if found.fresh and entry.released:
        _print(options, entry.terms)
    if not options.no_import:
        _convert(options, entry, found.path, found.url)
    return DONE


def _import(options: argparse.Namespace) -> int:
    entry = zoo_entry(options.name)
    if not options.quiet:
        show_progress_of(*_REPORTING)
    _convert(options, entry, options.path, None)
    return DONE


def _convert(options: argparse.Namespace, entry: ZooEntry, path: Path, url: str | None) -> None:
    model_file = import_checkpoint(entry.name, path, overwrite=options.overwrite, url=url)
    if isinstance(entry, RivalEntry):
        _print(options, entry.terms)
    _print(options, f"model file {model_file.path} ({_size(model_file.path.stat().st_size)})")
    name = OPENPOSE_WHOLEBODY if entry.name in CROPS else entry.name
    _print(options, f"to run it: hprnet-rt annotate --model {name} INPUT -o OUT")


def _remove(options: argparse.Namespace) -> int:
    deleted = cache.remove(zoo_entry(options.name).name)
    for path in deleted:
        print(f"deleted {path}")
    if not deleted:
        print(f"the cache holds nothing of {options.name}")
    return DONE
