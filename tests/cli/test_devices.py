"""The command line on GPUs: the CPU's results, checkpoints that move, and refusals before any work."""

import pytest
from click.testing import CliRunner

from tests.support import fake_cupy
from tinydl import cli
from tinydl.cli import main

TEXT = "the quick brown fox jumps over a lazy dog,\nand the dog sleeps on.\n" * 7


def run(*args, code=0):
    result = CliRunner().invoke(main, list(map(str, args)))
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def device(gpu_kernels):
    return {"emulated": "cuda-emulated", "cuda": "cuda"}[gpu_kernels.device]


def last_numbers(output):
    return [float(word.rstrip(",")) for word in output.splitlines()[-1].split() if word[0].isdigit()]


def test_training_gives_the_cpus_results(device):
    options = ("train", "sequence-rnn", "--epochs", "1")
    assert last_numbers(run(*options, "--device", device)) == pytest.approx(last_numbers(run(*options)), rel=1e-3)


def test_checkpoints_move(device, tmp_path):
    text, there, here = tmp_path / "text.txt", tmp_path / "there.safetensors", tmp_path / "here.safetensors"
    text.write_text(TEXT)
    train = ("train", "text-lstm", "--data", text, "--epochs", "1")
    written = run(*train, "--device", device, "--checkpoint", there)
    assert "validation loss" in written
    found = [
        run("eval", "text-lstm", "--data", text, "--checkpoint", there, "--device", where) for where in (device, "cpu")
    ]
    assert last_numbers(found[0]) == pytest.approx(last_numbers(found[1]), rel=1e-4)
    assert last_numbers(found[0])[:1] == pytest.approx(
        [float(line.split()[2]) for line in written.splitlines() if line.startswith("validation loss")], rel=1e-4
    )
    write = ("generate", "text-lstm", "--checkpoint", there, "--prompt", "the ", "--length", "40", "--seed", "3")
    assert run(*write, "--device", device).splitlines()[:-1] == run(*write).splitlines()[:-1]
    run(*train, "--checkpoint", here)
    again = ("train", "text-lstm", "--data", text, "--epochs", "2", "--resume", here)
    results = [
        last_numbers(next(line for line in run(*again, "--device", where).splitlines() if "perplexity" in line))
        for where in ("cpu", device)
    ]
    assert results[0] == pytest.approx(results[1], rel=1e-3)


COMMANDS = [
    ("train", "mlp"),
    ("train", "none"),
    ("eval", "mlp", "--checkpoint", "none.safetensors"),
    ("generate", "text-lstm", "--checkpoint", "none.safetensors"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_devices_are_looked_at_first(command, monkeypatch):
    monkeypatch.setattr(cli, "_recipe", lambda name: pytest.fail("the recipe was looked at before the device"))
    fake_cupy.install(monkeypatch, capabilities=("75",))
    try:
        for device, message in (
            ("cuda", "device 'cuda' is not available: GPU 0 has compute capability 7.5, the kernels want 8.0 (Ampere)"),
            ("cuda:1", "device 'cuda:1' is not available: the machine has 1 GPU(s), numbered from 0"),
            ("gpu", "device 'gpu' is not available; tinydl computes on 'cpu' and 'cuda'"),
            ("cuda:x", "got 'cuda:x', wanted a name such as 'cpu' or 'cuda:0'"),
        ):
            output = run(*command, "--device", device, code=1)
            assert output.startswith("Error: ")
            assert message in output
    finally:
        fake_cupy.forget_the_machine()


def test_a_numbered_gpu_becomes_the_current_one(monkeypatch):
    fake = fake_cupy.install(monkeypatch, capabilities=("90", "90"))
    monkeypatch.setattr(cli, "_recipe", lambda name: (_ for _ in ()).throw(ValueError("far enough")))
    try:
        assert run("train", "mlp", "--device", "cuda:1", code=1) == "Error: far enough\n"
        assert fake.current == 1
    finally:
        fake_cupy.forget_the_machine()


def test_the_cpu_by_name():
    options = ("train", "linear-regression", "--epochs", "5")
    assert run(*options, "--device", "cpu") == run(*options)


def test_graphs_want_a_gpu():
    output = run("train", "linear-regression", "--graph", code=1)
    assert "graph=True wants a model on 'cuda', its parameters are on 'cpu'" in output
