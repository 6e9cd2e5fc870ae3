"""Watch several cameras with one model, and say when people come and go.

python demos/two_cameras.py 0 1
"""

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

import hprnet_rt


def watch(source: str, model: hprnet_rt.PoseModel, stop: Event) -> None:
    there: set[int] = set()
    try:
        for _, poses in hprnet_rt.stream(source, model, live=True):
            if (now := set(poses.track_id.tolist())) != there:
                print(f"{source}: {len(now)} people", flush=True)
            there = now
            if stop.is_set():
                return
    except hprnet_rt.HprnetError as error:  # the others are watched on
        print(f"{source}: {error}", file=sys.stderr, flush=True)
        raise


def main(*sources: str) -> bool:
    stop = Event()
    with hprnet_rt.load() as model, ThreadPoolExecutor(len(sources)) as pool:
        watchers = [pool.submit(watch, source, model, stop) for source in sources]
        try:
            wait(watchers)
        except KeyboardInterrupt:
            stop.set()
    return any(watcher.exception() for watcher in watchers)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["0", "1"]))
