"""`python -m hprnet_rt`, and the beginning of the command `hprnet-rt`."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line and return its exit code. Ctrl-C is a sentence from its first import on."""
    try:
        from hprnet_rt.cli import main as command

        return command()
    except KeyboardInterrupt:
        print("hprnet-rt: stopped by Ctrl-C", file=sys.stderr)  # noqa: T201
        return 130


if __name__ == "__main__":
    sys.exit(main())
