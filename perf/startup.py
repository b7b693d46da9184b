"""Seconds until the first commands answer, and whether they load torch.

python perf/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from cells import seconds

RUN = """
import sys
from untrained.apps.cli import main
sys.argv[1:] = {args!r}
try:
    main()
except SystemExit:
    pass
print('torch' in sys.modules, file=sys.stderr)
"""


def main() -> None:
    empty = statistics.median(seconds(lambda: call("pass")) for _ in range(7))
    print(f"python alone          {empty:.3f} s")
    for args in (["--help"], ["list"]):
        code = RUN.format(args=args)
        took = statistics.median(seconds(lambda c=code: call(c)) for _ in range(7))
        print(f"untrained {args[0]:<11} {took:.3f} s   loads torch: {call(code)}")


def call(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.strip()


if __name__ == "__main__":
    main()
