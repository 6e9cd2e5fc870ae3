"""`python -m hprnet_rt`."""

import sys

from hprnet_rt.cli import main

if __name__ == "__main__":
    sys.exit(main())
