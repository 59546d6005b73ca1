"""The way in: `scripts/bench`, or `python3 -m harness` with benchmarks/ on the path."""

import sys

from harness.bench import main

sys.exit(main(sys.argv[1:]))
