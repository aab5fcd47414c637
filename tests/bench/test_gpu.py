"""The GPU benchmark's rows on the emulated GPU, at small sizes, beside PyTorch on the CPU; and its own logic."""

import json
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.gpu import __main__ as command
from bench.gpu import kernels, models, suite, timing
from bench.gpu.timing import COMPILED, TOLERANCE, Devices, Limits, Row
from tests.support.graphs import Graphs

pytest.importorskip("tinydl._cuda_emulated", reason="built with TINYDL_CUDA_EMULATE=ON only")
EMULATED = Devices("cuda-emulated", "cpu")
LIMITS = Limits(1e9, dict.fromkeys(TOLERANCE, 1e9))
KERNELS = kernels.Sizes(
    products=(48,),
    other_products=40,
    attention=((1, 2, 24, 64),),
    layers=("cnn 1", "cnn 3"),
    images=1,
    recurrent=(("LSTM", 3, 2, 16), ("GRU", 3, 2, 16)),
    rows=(6, 40),
    classes=(5, 70),
    maps=(2, 8, 6),
    elements=1 << 10,
    parameters=(70, 70),
)
MODELS = models.Sizes(cnn=(2,), text=(2, 3), encoder=(2, 5, 16, 2, 1))


@pytest.fixture
def graphs(monkeypatch):
    return Graphs(monkeypatch, "cuda-emulated")


@pytest.mark.usefixtures("torch", "graphs")
@pytest.mark.parametrize("kernels_only", [True, False])
def test_every_row_agrees_with_its_peers(kernels_only):
    rows = list(kernels.rows(EMULATED, KERNELS) if kernels_only else models.rows(EMULATED, MODELS))
    assert len({name for name, _ in rows}) == len(rows)
    for name, make in rows:
        row = make()
        assert row.name == name
        assert row.flops > 0 or row.bytes > 0
        row.peers.pop(COMPILED, None)  # takes half a minute
        left_out = {}
        assert timing.contenders(row, EMULATED, left_out).keys() >= {"torch"} & row.peers.keys()
        assert not set(left_out) - {"cudnn_attention", "flash_attention"}, (name, left_out)


def test_full_sizes_fill_a_gpu_and_name_every_row_once(torch):
    names = [name for name, _ in (*kernels.rows(EMULATED), *models.rows(EMULATED))]
    assert len(set(names)) == len(names) > 100
    for kind in ("matmul", "attention", "conv", "LSTM", "Adam", "softmax"):
        assert any(kind in name for name in names[:10])  # something of all when time is short


@pytest.mark.usefixtures("torch")
def test_bytes_are_those_of_each_input_and_output_once():
    rows = {name: make() for name, make in kernels.rows(EMULATED, KERNELS)}
    layer = 2 * (64 * 5 * 5 + 64 * 64 * 3 * 3), 2 * 64 * 3 * 3  # bytes of x and w, and of y
    assert rows["conv cnn 3"].bytes == sum(layer)
    assert rows["conv cnn 3 backward"].bytes == 2 * layer[0] + layer[1]
    assert rows["conv cnn 3"].flops == 2 * 3 * 3 * 64 * 64 * 3 * 3
    head = 2 * 2 * 24 * 64  # bytes of q
    names = "attention 1 x 2 heads of 64, length 24", "attention 1 x 2 heads of 64, length 24 backward"
    assert [rows[name].bytes for name in names] == [4 * head, 7 * head]
    assert rows[names[0]].flops == 2 * 2 * 2 * 24 * 24 * 64
    matrix, maps = 2 * 6 * 40, 2 * 2 * 8 * 6 * 6
    for name in ("softmax (6, 40)", "layer norm (6, 40)"):
        assert [rows[name].bytes, rows[f"{name} backward"].bytes] == [2 * matrix, 3 * matrix]
    name = "batch norm (2, 8, 6, 6)"
    assert [rows[name].bytes, rows[f"{name} backward"].bytes] == [2 * maps, 3 * maps]
    assert [rows[f"cross-entropy (5, 70){part}"].bytes for part in ("", " backward")] == [2 * 350, 4 * 350]
    assert rows["max pooling 2 x 2 (2, 8, 6, 6)"].bytes == maps + maps / 4
    assert rows["Adam, 2 x 70 parameters"].bytes == 140 * 4 * 7


@pytest.mark.usefixtures("torch")
def test_pytorch_has_its_fast_formats():
    rows = {name: make() for name, make in models.rows(EMULATED, MODELS)}
    eager = ["torch", "torch channels-last"]
    assert [*rows["CNN 32-64-64 training step, batch 2"].peers] == eager
    assert [*rows["CNN 32-64-64 training step, batch 2, in a CUDA graph"].peers] == [*eager, COMPILED]
    assert [*rows["LSTM text training step, 2 x 3, in a CUDA graph"].peers] == ["torch", COMPILED]


def test_a_graphs_row_replays_from_the_second_call_on(torch, graphs):
    rows = {name: make() for name, make in models.rows(EMULATED, MODELS)}
    name = "LSTM text training step, 2 x 3"
    plain, graphed = rows[name], rows[f"{name}, in a CUDA graph"]
    first = plain.ours().item()
    assert graphed.ours().item() == first
    assert graphs.replays == 1
    graphed.ours()
    assert graphs.replays == 2


def test_a_compiled_graph_goes_backward_again_and_again(torch, monkeypatch):
    config = pytest.importorskip("torch._functorch.config")
    before = torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    monkeypatch.setattr(config, "donated_buffer", True, raising=False)
    try:
        command.prepare()
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    assert not config.donated_buffer
    row = dict(kernels.rows(EMULATED, KERNELS))["layer norm (6, 40) backward"]()
    row.peers = {name: lambda make=make: eager(torch, make) for name, make in row.peers.items()}
    assert row.peers.keys() == {"torch", COMPILED}
    left_out, prepared = {}, {}
    peers = timing.contenders(row, EMULATED, left_out, prepared)
    peers[COMPILED]()
    assert peers.keys() == prepared.keys() == {"torch", COMPILED}
    assert not left_out


def eager(torch, make):
    """A call whose compiled functions have the gradients' graph of `torch.compile` without its compiler."""
    compiler = torch.compile
    torch.compile = lambda function, **options: compiler(function, backend="aot_eager", **options)
    try:
        return make()
    finally:
        torch.compile = compiler


def test_wrong_results_are_refused(torch):
    x = torch.ones(3)
    row = Row("a row", "float32", lambda: EMULATED.share(x), {"torch": lambda: lambda: x * 1.001}, bytes=24)
    with pytest.raises(AssertionError, match=r"a row: the result differs from torch's by 1.0e-03 of its norm"):
        timing.measure(row, LIMITS, EMULATED)
    row.ours = lambda: EMULATED.share(x * float("nan"))
    with pytest.raises(AssertionError, match="by nan"):
        timing.measure(row, LIMITS, EMULATED)


def test_every_tensor_of_a_result_is_compared(torch):
    x = torch.ones(3)
    ours = [EMULATED.share(x), (EMULATED.share(x * 3), EMULATED.share(x))]
    assert timing.error(EMULATED, ours, (x, [x * 3, x])) == 0
    assert timing.error(EMULATED, ours, (x, x * 2, x)) == pytest.approx(0.5)
    assert timing.error(EMULATED, ours, (x, x * 3)) == timing.error(EMULATED, ours, (x, x * 3, x[:2])) == float("inf")
    for wrong in range(3):
        ours = [EMULATED.share(x * (float("nan") if i == wrong else 1)) for i in range(3)]
        assert not timing.error(EMULATED, ours, (x, x, x)) <= 1


def test_long_rows_are_sampled_twice(torch, monkeypatch):
    monkeypatch.setattr(timing, "LONGEST", 0.0)
    x, calls = torch.ones(3), []
    row = Row("a row", "float32", lambda: calls.append(0) or EMULATED.share(x), {}, bytes=24)
    timing.measure(row, LIMITS, EMULATED, rounds=50, seconds=0)
    assert len(calls) == 1 + 3 + 2


def test_floor_share_ratio_and_peers_that_fail(torch):
    def broken():
        raise RuntimeError("no such kernel\nand more")

    x = torch.ones(3)
    peers = {"torch": lambda: lambda: x, "broken": broken}
    row = Row("a row", "float32", lambda: EMULATED.share(x), peers, flops=5e3, bytes=1e3)
    result = timing.measure(row, LIMITS, EMULATED, rounds=3, seconds=1e-4)
    assert result.floor == 5e-6  # of its operations, which take longer than its bytes
    assert result.share == pytest.approx(5e-6 / result.ours.median)
    assert result.left_out == {"broken": "no such kernel"}
    assert result.ratios.keys() == {"torch"}
    assert "(without broken)" in timing.format_row(result)
    assert result.as_json()["peers"].keys() == {"torch"}


def test_without_a_gpu_the_command_says_what_is_missing():
    done = CliRunner().invoke(command.main, ["--no-build", "--no-tests", "--only", "no such row"])
    if done.exit_code:
        assert "device 'cuda' is not available" in done.output or "PyTorch" in done.output


@pytest.fixture
def no_gpu(torch, monkeypatch):
    """The command on the emulated GPU, with three rows, of which the second fails."""
    x = torch.ones(3)

    def row(name, factor):
        def make():
            peers = {"torch": lambda: lambda: x, COMPILED: lambda: lambda: x}
            return Row(name, "float32", lambda: EMULATED.share(x * factor), peers, bytes=24)

        return name, make

    monkeypatch.setattr(command, "missing", lambda: None)
    monkeypatch.setattr(command, "describe", dict)
    monkeypatch.setattr(command, "prepare", lambda: None)
    monkeypatch.setattr(command, "find_spec", lambda name: True)
    monkeypatch.setattr(timing, "Devices", lambda: EMULATED)
    monkeypatch.setattr(timing, "measure_limits", lambda devices: LIMITS)
    monkeypatch.setattr(models, "rows", lambda devices: [row("good", 1)])
    monkeypatch.setattr(kernels, "rows", lambda devices: [row("wrong", 2), row("also good", 1)])


@pytest.mark.usefixtures("no_gpu")
def test_rows_are_timed_eagerly_then_compiled_and_written_before_the_tests(monkeypatch, tmp_path):
    path = tmp_path / "new" / "results.json"
    before = []
    monkeypatch.setattr(command, "run_tests", lambda end, log: before.append(json.loads(path.read_text())) or log.name)
    done = CliRunner().invoke(command.main, ["--no-build", "--json", str(path), "--rounds", "2"])
    assert done.exit_code == 0, done.output
    found = json.loads(path.read_text())
    assert found.pop("tests") == "results.tests.txt"
    assert before == [found]
    assert {name: [*row["peers"]] for name, row in found["rows"].items()} == {"good": ["torch"], "also good": ["torch"]}
    assert {name: [*row["peers"]] for name, row in found["compiled"].items()} == {
        "good": [COMPILED],
        "also good": [COMPILED],
    }
    assert found["problems"] == ["wrong: AssertionError: wrong: the result differs from torch's by 1.0e+00 of its norm"]
    assert "(compiled in 0 s)" in done.output


@pytest.mark.usefixtures("no_gpu")
def test_rows_for_which_there_is_no_time_are_named():
    done = CliRunner().invoke(command.main, ["--no-build", "--no-tests", "--minutes", "0"])
    assert done.exit_code == 0, done.output
    assert "also good: left out of the rows, the time is up" in done.output


SUITE = """
import pytest, subprocess, sys, time

def test_fine():
    pass

@pytest.mark.parametrize("x", ["a - b"])
def test_wrong(x):
    raise ValueError("no - way")

def test_hangs():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open("child", "w").write(str(child.pid))
    time.sleep(60)
"""


@pytest.mark.parametrize("spread", [[], ["-n", "2"]])
def test_tests_that_hang_are_ended_and_failures_named(monkeypatch, tmp_path, spread):
    if spread:
        pytest.importorskip("xdist")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "tests" / "test_some.py").write_text(SUITE)
    log = tmp_path / "build" / "log.txt"
    pytest_ = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--capture=no", *spread, "tests"]
    start = time.monotonic()
    lines = suite.run_until(start, pytest_, log, 8.0).splitlines()
    assert time.monotonic() - start < 30
    assert lines[0] == "FAILED tests/test_some.py::test_wrong[a - b] - ValueError: no - way"
    assert lines[-1].startswith("not finished in 8 s: ")
    assert "1 failed, 1 passed" in lines[-1]
    state = Path(f"/proc/{(tmp_path / 'child').read_text()}/stat")
    for _ in range(100):
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":  # nobody asked how it ended
            return
        time.sleep(0.05)
    raise AssertionError("a process of the tests goes on")


def test_failures_are_named_once_without_a_summary_too():
    text = """[gw1] [  5%] FAILED tests/a.py::test_x[x - 1]
tests/b.py::test_y ERROR    [ 10%]
[gw0] [ 15%] PASSED tests/a.py::test_z
FAILED tests/a.py::test_x[x - 1] - AssertionError: 1 - 2
ERROR tests/c.py - ImportError: no"""
    assert suite.failures(text) == [
        "FAILED tests/a.py::test_x[x - 1] - AssertionError: 1 - 2",
        "FAILED tests/b.py::test_y",
        "ERROR tests/c.py - ImportError: no",
    ]
    assert suite.failures(text, 1)[1:] == ["and 2 more"]
