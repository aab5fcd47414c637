"""The GPU benchmark's rows on the emulated GPU, at small sizes, beside PyTorch on the CPU; and its own logic."""

import pytest
from click.testing import CliRunner

from bench.gpu import kernels, models, timing
from bench.gpu.__main__ import main
from bench.gpu.timing import TOLERANCE, Devices, Limits, Row

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


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("kernels_only", [True, False])
def test_every_row_agrees_with_its_peers(kernels_only):
    rows = list(kernels.rows(EMULATED, KERNELS) if kernels_only else models.rows(EMULATED, MODELS))
    assert len({name for name, _ in rows}) == len(rows)
    for name, make in rows:
        row = make()
        assert row.name == name
        assert row.flops > 0 or row.bytes > 0
        row.peers.pop("torch.compile", None)  # takes half a minute
        left_out = {}
        assert timing.contenders(row, EMULATED, left_out).keys() >= {"torch"} & row.peers.keys()
        assert not set(left_out) - {"cudnn_attention", "flash_attention"}, (name, left_out)


def test_full_sizes_fill_a_gpu_and_name_every_row_once(torch):
    names = [name for name, _ in (*kernels.rows(EMULATED), *models.rows(EMULATED))]
    assert len(set(names)) == len(names) > 100


def test_wrong_results_are_refused(torch):
    x = torch.ones(3)
    row = Row("a row", "float32", lambda: EMULATED.share(x), {"torch": lambda: lambda: x * 1.001}, bytes=24)
    with pytest.raises(AssertionError, match=r"a row: the result differs from torch's by 1.0e-03 of its norm"):
        timing.measure(row, LIMITS, EMULATED)
    row.ours = lambda: EMULATED.share(x * float("nan"))
    with pytest.raises(AssertionError, match="by nan"):
        timing.measure(row, LIMITS, EMULATED)


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
    done = CliRunner().invoke(main, ["--no-build"])
    if done.exit_code:
        assert "device 'cuda' is not available" in done.output or "PyTorch" in done.output
