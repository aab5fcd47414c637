"""The sweeps over batches, lengths and threads, and the count of page faults."""

import json
import mmap
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

import tinydl
from bench import faults, harness, sweep
from bench.__main__ import main
from bench.harness import Plan, Result, Row, Timing
from bench.sweep import Curve, curves, format_point, memory_of, processors, run, using_threads
from tinydl import backend


def test_the_values_that_are_swept():
    for curve in curves("batch"):
        assert curve.values == (1, 2, 4, 8, 16, 32, 64, 128, 256)
    for curve in curves("length"):
        assert curve.values[-1] == 16384
    for curve in curves("threads"):
        assert curve.values == tuple(range(1, processors() + 1))


def test_every_curve_makes_rows_against_pytorch_alone():
    pytest.importorskip("torch")
    step, product = (curve.make(2) for curve in curves("batch"))
    assert step.peers.keys() == {"torch contiguous", "torch channels-last"}
    assert step.slow_peers == {}
    assert product.peers.keys() == {"torch"}
    assert product.flops == 2 * 2 * 4096 * 4096


def test_all_contenders_get_the_same_threads():
    torch = pytest.importorskip("torch")
    before = backend.num_threads(), torch.get_num_threads()
    with using_threads(3):
        assert (backend.num_threads(), torch.get_num_threads()) == (3, 3)
    assert (backend.num_threads(), torch.get_num_threads()) == before


def test_a_sweep_makes_and_times_each_point_under_its_threads(monkeypatch):
    seen, shown = [], []

    def fake(row, plan):
        row.ours()
        return Result(row, Timing(int(row.name) * 1e-3, 0.0), {"torch": Timing(3e-3, 0.0)}, {"torch": 2.5}, None)

    def make(threads):
        seen.append((threads, backend.num_threads()))
        return Row(str(threads), lambda: seen.append(backend.num_threads()))

    monkeypatch.setattr(sweep, "measure", fake)
    written = run("threads", Plan(), shown.append, [Curve("a step", (1, 3), make)])
    assert seen == [(1, 1), *[1] * 3, (3, 3), *[3] * 3]  # once for the time, then twice for the memory
    assert [point["seconds"] for point in written["a step"].values()] == [1e-3, 3e-3]
    assert shown[0] == "a step, by threads"
    assert "3.00 of the first" in shown[2]
    seen.clear()
    run("batch", Plan(), shown.append, [Curve("a step", (7,), make)])
    assert seen == [(7, backend.num_threads()), *[backend.num_threads()] * 3]


def test_the_memory_of_a_call():
    x = tinydl.ones(1000)
    others = tinydl.memory_stats()["allocated"]
    assert 8000 <= memory_of(lambda: (x + 1) * 2) - others < 8000 + 4096


def test_the_memory_of_attention_grows_with_the_length():
    (curve,) = curves("length")
    first, second, third = (memory_of(curve.make(length).ours) for length in (512, 1024, 2048))
    assert 1 < (third - second) / (second - first) < 3  # 4, if it held all pairs of positions


def test_the_memory_is_counted_after_the_results_were_compared():
    calls, compared = [], []

    def step():  # the loss of a training step changes from step to step
        calls.append(1)
        return len(calls)

    row = Row("a step", step, {"peer": lambda: 1}, check=lambda ours, theirs: compared.append((ours, theirs)))
    run("batch", Plan(rounds=2, seconds=1e-4, wait=0.0), lambda line: None, [Curve("a step", (1,), lambda value: row)])
    assert compared == [(1, 1)]


def test_a_point_names_the_better_of_the_peers():
    peers = {"slow": Timing(4e-3, 0.0), "quick": Timing(2e-3, 0.0)}
    result = Result(Row("a", lambda: None), Timing(1e-3, 0.0), peers, {"slow": 4.0, "quick": 2.0}, None)
    line = format_point(64, result, 5e-4, 3 << 20)
    for part in ("64", "1.000 ms", "2.00 of the first", "3.00 MiB", "quick     2.000 ms", "2.00 x"):
        assert part in line
    assert "slow" not in line


def test_the_command_runs_named_sweeps_and_no_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "settle", lambda call, wait, warm=True: None)
    monkeypatch.setattr("bench.__main__.measure_limits", dict)
    line = Curve("nothing", (1, 2), lambda value: Row("nothing", lambda: None))
    monkeypatch.setattr(sweep, "curves", lambda of: [line])
    path = tmp_path / "out.json"
    shown = CliRunner().invoke(main, ["--sweep", "batch", "--rounds", "2", "--quick", "--json", str(path)])
    assert shown.exit_code == 0, shown.output
    assert "nothing, by batch" in shown.output
    written = json.loads(path.read_text())
    assert written["rows"] == {}
    assert written["sweeps"]["batch"]["nothing"].keys() == {"1", "2"}
    assert CliRunner().invoke(main, ["--sweep", "weather"]).exit_code == 2


def test_page_faults_are_counted_after_the_warm_up(monkeypatch):
    calls = Counter()

    class Usage:
        @property
        def ru_minflt(self):
            return 100 + 7 * calls["step"]

    def step():
        calls["step"] += 1

    monkeypatch.setattr(faults.resource, "getrusage", lambda who: Usage())
    assert faults.faults_per_step(step, steps=4, warm_up=2) == 7
    assert calls["step"] == 6


def test_page_faults_of_fresh_memory_are_seen():
    def touch():
        with mmap.mmap(-1, 1 << 20) as fresh:
            for page in range(0, len(fresh), mmap.PAGESIZE):
                fresh[page] = 1

    assert faults.faults_per_step(touch, steps=3, warm_up=1) >= 1


def test_the_training_steps_whose_faults_are_counted(monkeypatch):
    monkeypatch.setattr(faults, "faults_per_step", lambda step: float(step()))
    counted = faults.training_faults()
    assert counted.keys() == {f"CNN 32-64-64 training step, batch {batch}" for batch in (32, 128)}
    assert all(loss == pytest.approx(np.log(10), rel=0.2) for loss in counted.values())
