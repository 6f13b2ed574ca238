"""Real processes that need not import torch again: forked, by a server that has, for each run.

Ranks get what torchrun gives them (RANK, WORLD_SIZE, MASTER_ADDR, a store that outlives them), and
are killed some seconds after one of them failed.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import runpy
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

from torch.distributed import TCPStore

GRACE = 20.0  # seconds in which the other ranks may end by themselves
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["warm_imports"])


@dataclass(frozen=True)
class Done:
    """How a run of one or several ranks ended; ``returncode`` is that of the first to fail."""

    returncode: int
    stdout: str
    stderr: str


class Run:
    """Processes that run ``unlazy`` with the given words, or a program.

    Args:
        words: of the command line; the first may be a Python file.
        cwd: the working folder.
        ranks: how many processes.
        env: added to the environment.
        room: most bytes of a file that they may write.
    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        cwd: Path,
        ranks: int = 1,
        env: Mapping[str, str] | None = None,
        room: int | None = None,
    ) -> None:
        _serve()
        self.cwd, self.processes = cwd, []
        self.store, shared = None, {}
        if ranks > 1:
            self.store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
            shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.store.port)}
            shared["TORCHELASTIC_USE_AGENT_STORE"] = "True"
        for rank in range(ranks):
            places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
            given = {"OMP_NUM_THREADS": "1", **places, **shared, **(env or {})}
            texts = [str(each) for each in words]
            process = FORK.Process(target=_run, args=(texts, cwd, given, room, self._log(rank)))
            process.start()
            self.processes.append(process)

    def _log(self, rank: int) -> Path:
        return self.cwd / f".{os.getpid()}-{id(self)}-{rank}"

    def poll(self) -> int | None:
        """The exit status once all have ended; where one fails, the others are killed."""
        codes = [process.exitcode for process in self.processes]
        failed = [code for code in codes if code]
        if failed:
            for process in self.processes:
                process.join(GRACE)
            self.kill()
            return failed[0]
        return None if None in codes else 0

    def kill(self) -> None:
        """SIGKILL to all."""
        for process in self.processes:
            process.kill()
            process.join()

    def wait(self, timeout: float = 280) -> Done:
        """Wait for the end; nothing is left running where that does not come."""
        end = time.monotonic() + timeout
        try:
            while (code := self.poll()) is None:
                if time.monotonic() > end:
                    raise TimeoutError(f"no end after {timeout} seconds")
                time.sleep(0.05)
        except BaseException:
            self.kill()
            raise
        texts = []
        for suffix in (".out", ".err"):
            files = [self._log(rank).with_suffix(suffix) for rank in range(len(self.processes))]
            texts.append("".join(file.read_text() for file in files if file.is_file()))
            for file in files:
                file.unlink(missing_ok=True)
        return Done(code, *texts)


@functools.cache
def _serve() -> None:
    """Start the server; it finds ``warm_imports`` by PYTHONPATH alone in Python 3.11."""
    before = os.environ.get("PYTHONPATH")
    known = [str(Path(__file__).parent), *([before] if before else [])]
    os.environ["PYTHONPATH"] = os.pathsep.join(known)
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _run(words: list[str], cwd: Path, env: dict[str, str], room: int | None, log: Path) -> None:
    assert "warm_imports" in sys.modules, "the server has not imported what is slow"
    for number, suffix in ((1, ".out"), (2, ".err")):
        file = os.open(log.with_suffix(suffix), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    os.environ.update(env)
    os.chdir(cwd)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    if words[0].endswith(".py"):
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
        return
    from unlazy.cli import main

    main(words)
