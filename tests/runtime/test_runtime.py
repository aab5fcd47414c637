"""Threads, instruction sets, the allocator, forks, and many Python threads at once."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import tinydl
from tests.support.arrays import normal
from tinydl import _cpu, backend


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_thread_count_from_the_environment():
    show = "import tinydl; print(tinydl.get_num_threads())"
    assert run(show, TINYDL_NUM_THREADS="3").stdout.strip() == "3"
    wrong = run(show, TINYDL_NUM_THREADS="many")
    assert wrong.returncode != 0
    assert "TINYDL_NUM_THREADS is 'many'" in wrong.stderr


def test_thread_count_obeys_affinity():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import tinydl; print(tinydl.get_num_threads())"
    )
    assert run(code, TINYDL_NUM_THREADS="").stdout.strip() == "1"


def test_set_num_threads():
    with backend.use_threads(5):
        assert tinydl.get_num_threads() == 5
    for wrong in (0, -1, 5000):
        with pytest.raises(ValueError, match="wanted 1 to 4096"):
            tinydl.set_num_threads(wrong)


def test_the_thread_count_may_change_during_a_call():
    """Each worker has scratch memory, allocated before the team starts: no other count may come between."""
    code = """
import threading
import numpy as np
from tinydl import _cpu

def change():
    while not done:
        _cpu.set_num_threads(1)
        _cpu.set_num_threads(5)

a = np.ones((300, 600), np.float32)
b = np.ones((600, 300), np.float32)
done = False
other = threading.Thread(target=change)
other.start()
right = all((_cpu.matmul(a, b) == 600).all() for _ in range(600))
done = True
other.join()
print(right)
"""
    result = run(code, TINYDL_ISA=detected_isa())
    assert (result.returncode, result.stdout.strip()) == (0, "True")


def test_importing_leaves_the_environment_alone():
    show = "import os, tinydl; print(os.environ.get('GOMP_SPINCOUNT'))"
    assert run(show).stdout.strip() == "None"
    assert run(show, GOMP_SPINCOUNT="7").stdout.strip() == "7"


def test_waiting_threads_do_not_spin_for_long():
    """libgomp reports the bound that it was loaded with."""
    settings = run("import tinydl", OMP_DISPLAY_ENV="verbose").stderr
    assert "GOMP_SPINCOUNT = '10000'" in settings


def detected_isa():
    """The best that the machine has, whatever this process may use."""
    return run("from tinydl import backend; print(backend.detected_isa())", TINYDL_ISA="").stdout.strip()


def test_instruction_set_from_the_environment():
    show = "from tinydl import backend; print(backend.isa())"
    assert run(show, TINYDL_ISA="portable").stdout.strip() == "portable"
    assert run(show, TINYDL_ISA="").stdout.strip() == detected_isa()
    assert run(show, TINYDL_ISA="amx").stdout.strip() == detected_isa()
    wrong = run(show, TINYDL_ISA="mmx")
    assert wrong.returncode != 0
    assert "TINYDL_ISA is 'mmx'; it must be portable, avx2, avx512 or amx" in wrong.stderr
    with pytest.raises(ValueError, match="must be portable"):
        backend.set_isa("mmx")


def test_memory_is_reused_and_counted():
    tinydl.empty_cache()
    before = tinydl.memory_stats()
    x = _cpu.neg(np.ones(1 << 20, np.float32))
    during = tinydl.memory_stats()
    assert during["allocated"] - before["allocated"] >= 4 << 20
    assert during["peak"] >= during["allocated"]
    address = x.ctypes.data
    assert address % 64 == 0
    del x
    assert tinydl.memory_stats()["cached"] >= 4 << 20
    y = _cpu.neg(np.ones(1 << 20, np.float32))
    assert y.ctypes.data == address
    assert tinydl.memory_stats()["system_blocks"] == during["system_blocks"]
    del y
    tinydl.empty_cache()
    assert tinydl.memory_stats()["cached"] == 0


def test_the_cache_has_a_limit():
    tinydl.empty_cache()
    tinydl.set_cache_limit(1 << 20)
    try:
        _cpu.neg(np.ones(1 << 20, np.float32))
        assert tinydl.memory_stats()["cached"] <= 1 << 20
    finally:
        tinydl.set_cache_limit(-1)
    tinydl.reset_peak_memory()
    assert tinydl.memory_stats()["peak"] == tinydl.memory_stats()["allocated"]


def test_a_steady_state_asks_the_system_for_nothing():
    x, w = tinydl.rand(64, 300), tinydl.rand(200, 300)
    w.requires_grad_()

    def step():
        w.grad = None
        (x @ w.t()).relu().mean().backward()

    for _ in range(3):
        step()
    blocks = tinydl.memory_stats()["system_blocks"]
    for _ in range(20):
        step()
    assert tinydl.memory_stats()["system_blocks"] == blocks


def test_impossible_sizes_are_memory_errors():
    huge = np.broadcast_to(np.float32(1), (1 << 30, 1 << 30))
    with pytest.raises(MemoryError):
        _cpu.neg(huge)


def work(seed):
    rng = np.random.default_rng(seed)
    a, b = normal(rng, (200, 300)), normal(rng, (300, 100))
    return _cpu.sum(_cpu.matmul(a, b), (0, 1), False).item()


def test_many_python_threads_at_once():
    expected = [work(seed) for seed in range(8)]
    results = [None] * 8

    def body(seed):
        for _ in range(20):
            results[seed] = work(seed)

    threads = [threading.Thread(target=body, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == expected


def child(queue):
    queue.put(work(1))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_compute():
    expected = work(1)  # the team of threads is running when the fork happens
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == expected
    process.join(60)
    assert process.exitcode == 0
    assert work(1) == expected


def test_a_child_forked_after_pytorch_worked_can_compute(torch):
    """PyTorch may share our OpenMP runtime, whose threads it started before the fork."""
    code = """
import os, torch, tinydl
torch.exp(torch.rand(2000, 2000)).sum()
pid = os.fork()
if pid == 0:
    tinydl.ones(1000, 1000).exp().sum().item()
    os._exit(0)
print(os.waitpid(pid, 0)[1])
"""
    environment = {**os.environ, "TINYDL_NUM_THREADS": "2", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0"


def test_denormals_are_flushed_inside_and_the_mode_is_restored():
    tiny = np.full((64, 64), 1e-40, np.float32)
    assert not _cpu.matmul(tiny, np.eye(64, dtype=np.float32)).any()
    assert np.float32(1e-40) * np.float32(1) != 0
    assert _cpu.neg(tiny)[0, 0] == -tiny[0, 0]


def test_import_is_light():
    later = ("ml_dtypes", "safetensors", "tqdm", "click", "sklearn", "matplotlib")
    assert run(f"import sys, tinydl; print([m for m in {later} if m in sys.modules])").stdout.strip() == "[]"
