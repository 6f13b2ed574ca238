"""Calls in a fresh process, whose peak memory is then that of the call: ``fresh.call``.

The process is ``python -m performance.fresh MODULE:FUNCTION JSON``. glibc's threshold for memory
maps is pinned there, so that what a tensor frees leaves the process at once.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PINNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
STATUS = Path("/proc/self/status")


def call(target: str, /, **arguments: Any) -> Any:
    """The JSON that ``module:function`` returns in a process of its own.

    Raises:
        RuntimeError: the process failed; its error output is the message.
    """
    done = subprocess.run(
        [sys.executable, "-m", "performance.fresh", target, json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ | PINNED,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{target} failed in its own process:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def peak_bytes() -> int:
    """Peak resident memory of this process since it began.

    On Linux from ``VmHWM``: ``ru_maxrss`` also counts what the parent held when it forked.
    """
    if STATUS.exists():
        line = next(row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    target, arguments = sys.argv[1:]
    module, function = target.split(":")
    found = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
