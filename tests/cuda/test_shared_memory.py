"""GPUs whose blocks have less shared memory than 9.0's 227 KB: 99 KB on compute capability 8.6, 8.9 and 12.0."""

import ml_dtypes
import numpy as np
import pytest

emulated = pytest.importorskip("tinydl._cuda_emulated", reason="built with TINYDL_CUDA_EMULATE=ON only")

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@pytest.fixture
def kernels_with(gpu_kernels):
    """The emulated kernels with as many kilobytes a block."""
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")

    def limited(kilobytes):
        emulated.set_shared_bytes_of_a_block(kilobytes << 10)
        return gpu_kernels

    yield limited
    emulated.set_shared_bytes_of_a_block(227 << 10)


def attention(kernels, dtype, features, rng):
    """The results of attention and its gradients over two tiles of keys."""
    q, k, v, grad = (rng.standard_normal((1, 1, n, features)).astype(dtype) for n in (5, 70, 70, 5))
    o, lse = kernels.attention(q, k, v, None, 0.1)
    return o, *kernels.attention_backward(grad, q, k, v, None, o, lse, 0.1)


@pytest.mark.parametrize("features", [64, 128, 160])
@pytest.mark.parametrize("dtype", DTYPES)
def test_attention_fits(kernels_with, dtype, features, rng):
    draws = rng.bit_generator.state
    found = attention(kernels_with(99), dtype, features, rng)
    rng.bit_generator.state = draws
    wanted = attention(kernels_with(227), dtype, features, rng)
    tolerance = {2: 1e-2, 4: 1e-5, 8: 1e-12}[np.dtype(dtype).itemsize]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_and_recurrent_layers_fit(kernels_with, dtype, rng):
    kernels = kernels_with(99)
    a, b = (rng.standard_normal((130, 130)).astype(dtype) for _ in range(2))
    x, w = rng.standard_normal((1, 8, 8, 8)).astype(dtype), rng.standard_normal((8, 8, 3, 3)).astype(dtype)
    assert kernels.matmul(a, b).shape == (130, 130)
    assert kernels.conv2d(x, w, None, (1, 1), (0, 0, 0, 0), (1, 1), 1, "none").shape == (1, 8, 6, 6)
    gates, weight = (rng.standard_normal(shape).astype(dtype) for shape in ((2, 40, 128), (128, 32)))
    h0, c0 = (rng.standard_normal((40, 32)).astype(dtype) for _ in range(2))
    assert kernels.recurrent("lstm", gates, weight, None, h0, c0)[0].shape == (2, 40, 32)


def test_a_kernel_that_does_not_fit_is_refused(kernels_with, rng):
    with pytest.raises(ValueError, match=r"launch: a kernel needs \d+ bytes .* a block, this GPU has 16384"):
        attention(kernels_with(16), np.float16, 128, rng)
