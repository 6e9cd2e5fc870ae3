"""Show a camera with skeletons in a window.

python demos/webcam.py [CAMERA, FILE or ADDRESS]
"""

import sys

import hprnet_rt
from hprnet_rt.live.session import Session
from hprnet_rt.live.window import run_window
from hprnet_rt.video.capture import LiveOptions, open_live


def main(source: str = "0") -> None:
    with hprnet_rt.load() as model:
        session = Session(open_live(source, LiveOptions()), model)
        session.mirror = source.isdigit()
        run_window(session, title=source, details=f"{model.name} on {model.description}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except hprnet_rt.HprnetError as error:
        sys.exit(str(error))
