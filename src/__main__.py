"""Says which commands there are: `python -m src`."""

import sys

_COMMANDS = (
    "python -m src.train, .search, .eval, .predict, .explain, .describe or .compare "
    "(--help explains each)"
)

if __name__ == "__main__":
    print(f"error: expected {_COMMANDS}; received none", file=sys.stderr)
    sys.exit(2)
