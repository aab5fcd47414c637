"""Both ends of a peer in another process: `Remote` here, `python -m bench.peers.remote MODULE JOB` there.

The job is an .npz file of arrays; MODULE's `contender(job)` returns the function to time. Neither end imports tinydl,
so that the other process may run in another environment: TINYDL_BENCH_PYTHON names its interpreter.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PYTHON = os.environ.get("TINYDL_BENCH_PYTHON") or sys.executable
ROOT = Path(__file__).parent.parent.parent
LIBRARIES = {"JAX": ("jax", "flax", "optax"), "Keras": ("keras", "tensorflow")}  # and the modules that each needs


def has(*modules: str) -> bool:
    """Whether the other interpreter has the modules."""
    return all(versions(*modules).values())


@functools.cache
def versions(*modules: str) -> dict[str, str]:
    """The versions of the other interpreter's modules, which are not imported; empty for what it lacks."""
    probe = (
        "import importlib.metadata as m, importlib.util as u, json, sys\n"
        "packages = m.packages_distributions()\n"
        "version = lambda name: m.version(packages[name][0]) if name in packages else 'unknown'\n"
        "print(json.dumps({name: version(name) if u.find_spec(name) else '' for name in sys.argv[1:]}))"
    )
    answer = subprocess.run([PYTHON, "-c", probe, *modules], check=True, capture_output=True, text=True)
    return dict(json.loads(answer.stdout))


class Remote:
    """A function in another process. A call returns its result's digest; `seconds(n)` is the time of n calls there."""

    def __init__(self, module: str, threads: int, **job: Any) -> None:
        with tempfile.NamedTemporaryFile(suffix=".npz", delete=False) as file:
            np.savez(file, **job)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
        environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
        command = [PYTHON, "-m", "bench.peers.remote", module, file.name]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        atexit.register(self.close)
        self._ask(0)
        Path(file.name).unlink()

    def __call__(self) -> Any:
        return self._ask(1)["result"]

    def seconds(self, count: int) -> float:
        """The time of `count` calls."""
        return float(self._ask(count)["seconds"])

    def _ask(self, count: int) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self.process.args} ended")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def remotes(task: str, threads: int, **job: Any) -> dict[str, Callable[[], Any]]:
    """The installed libraries' contenders for a task such as "cnn", each in a process of its own."""
    return {
        name: Remote(f"bench.peers.{name.lower()}_{task}", threads, **job)
        for name, modules in LIBRARIES.items()
        if has(*modules)
    }


def serve(function: Callable[[], Any]) -> None:
    """Answer each line of stdin, a number of calls, with the last call's result and the seconds that they took."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    for line in sys.stdin:
        result = None
        start = time.perf_counter()
        for _ in range(int(line)):
            result = function()
        seconds = time.perf_counter() - start
        print(json.dumps({"result": digest(result), "seconds": seconds}), file=answers, flush=True)


def digest(result: Any) -> float | None:
    """One number of a result: a scalar itself, of an array the root of its mean square."""
    if result is None:
        return None
    values = np.asarray(result, np.float64)
    return float(values) if values.ndim == 0 else float(np.sqrt(np.mean(values**2)))


def use_as_many_processors_as_threads() -> None:
    """Keep libraries that take every processor they find to the threads that all contenders have."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["OMP_NUM_THREADS"])])


if __name__ == "__main__":
    use_as_many_processors_as_threads()
    job = dict(np.load(sys.argv[2]))
    serve(importlib.import_module(sys.argv[1]).contender(job))
