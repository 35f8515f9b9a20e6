"""`suffice` and `python -m suffice`: Ctrl-C ends quietly from the first moment on, imports included."""

import sys


def main() -> None:
    """Entry point."""
    try:
        from suffice.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
