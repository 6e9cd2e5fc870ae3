"""Blur every face in videos and photos, which keep their sound; look at them before you show them.

python demos/blur_faces.py OUT INPUT...      files, folders or patterns
"""

import sys

import hprnet_rt


def tell(progress: hprnet_rt.Progress) -> None:
    if progress.done % 100 == 0:
        print(f"{progress.source}: {progress.done} of {progress.frames or 'some'} frames", flush=True)


def main(out: str, *inputs: str) -> None:
    with hprnet_rt.load(threshold=0.15) as model:  # finds more people: what is blurred in vain does no harm
        report = hprnet_rt.annotate(
            inputs,
            out,
            model=model,
            blur="faces",
            hide=("body", "face", "hands", "ids"),
            keypoints=False,
            strip_metadata=True,  # nor where and when it was taken
            progress=tell,
        )
    print(f"{report.frames} frames in {report.seconds:.0f} s: {', '.join(map(str, report.written))}")
    if report.failed:
        sys.exit("\n".join(each.reason for each in report.failed))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
