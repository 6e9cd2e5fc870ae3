"""Watch several cameras with one model, and say when people come and go.

python demos/two_cameras.py 0 1
"""

import sys
import threading

import hprnet_rt


def watch(source: str, model: hprnet_rt.PoseModel, lost: list[str]) -> None:
    there: set[int] = set()
    try:
        for _, poses in hprnet_rt.stream(source, model, live=True):
            now = set(poses.track_id.tolist())
            if now != there:
                print(f"{source}: {len(now)} people", flush=True)
            there = now
    except hprnet_rt.HprnetError as error:  # the others are watched on
        print(f"{source}: {error}", file=sys.stderr, flush=True)
        lost.append(source)


def main(*sources: str) -> None:
    lost: list[str] = []
    with hprnet_rt.load() as model:
        watchers = [threading.Thread(target=watch, args=(source, model, lost)) for source in sources]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
    if lost:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:] or ["0", "1"])
