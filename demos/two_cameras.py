"""Watch several cameras with one model, and say when people come and go.

python demos/two_cameras.py 0 1
"""

import sys
import threading

import hprnet_rt


def watch(source: str, model: hprnet_rt.PoseModel) -> None:
    there: set[int] = set()
    for _, poses in hprnet_rt.stream(source, model, live=True):
        now = set(poses.track_id.tolist())
        if now != there:
            print(f"{source}: {len(now)} people", flush=True)
        there = now


def main(*sources: str) -> None:
    with hprnet_rt.load() as model:
        watchers = [threading.Thread(target=watch, args=(source, model)) for source in sources]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()


if __name__ == "__main__":
    main(*sys.argv[1:] or ["0", "1"])
