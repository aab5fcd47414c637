"""CUDA graphs: what can be asked without a GPU is the order of calls, what is refused, and the random numbers' places.

The replays themselves are compared with plain steps on a GPU alone.
"""

import sys

import numpy as np
import pytest

import tinydl
from tests.support import fake_cupy
from tests.support.fake_cupy import Array, CUDARuntimeError
from tinydl import capture, cuda, emulated, gpu_memory, nn, optim, random


@pytest.fixture
def cupy(monkeypatch):
    fake = fake_cupy.install(monkeypatch)
    cuda.load(tinydl.device("cuda"))
    yield fake
    fake_cupy.forget_the_machine()


def on_gpu(values):
    return tinydl.Tensor(Array(np.asarray(values, np.float32)))


# -- Capture ----------------------------------------------------------------------------------------------------


def test_the_order_of_a_capture(cupy):
    g = cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="nothing was captured"):
        g.replay()
    cupy.calls.clear()
    allocator = cupy.allocator
    with cuda.graph(g):
        assert cupy.allocator is not allocator
        assert capture.active is not None
        side = cupy.cuda.get_current_stream()
        assert side.ptr != 0
    assert capture.active is None
    assert cupy.allocator is allocator
    assert cupy.cuda.get_current_stream().ptr == 0
    assert cupy.calls == [
        ("synchronize", 0),
        ("Stream", {"non_blocking": True, "priority": 0}),
        ("offset", True),
        ("begin_capture", side.ptr),
        ("offset", False),
    ]
    cupy.calls.clear()
    g.replay()
    assert cupy.calls == ["launch", ("record", 0), "raise_reported"]
    with pytest.raises(RuntimeError, match=r"the graph holds a capture; reset\(\) it"), cuda.graph(g):
        pass
    g.reset()
    with pytest.raises(RuntimeError, match="nothing was captured"):
        g.replay()


def test_a_stream_can_be_chosen(cupy):
    own = cuda.Stream()
    with cuda.graph(cuda.CUDAGraph(), stream=own):
        assert cuda.current_stream() == own


def test_graphs_that_share_memory_share_the_stream_that_frees_it(cupy):
    first, second = cuda.CUDAGraph(), cuda.CUDAGraph()
    assert first.pool() is None
    used = []
    for g, pool in ((first, None), (second, first)):
        with cuda.graph(g, pool=pool and pool.pool()):
            used.append((cuda.current_stream(), g))
    assert used[0][0] == used[1][0]
    assert first.pool() is second.pool()
    third = cuda.CUDAGraph()
    with cuda.graph(third):
        assert cuda.current_stream() != used[0][0]
    assert third.pool() is not first.pool()


def test_memory_of_graphs_that_are_gone_is_the_next_ones(cupy, monkeypatch):
    monkeypatch.setattr(gpu_memory, "_unused", [])
    first, second, third = (cuda.CUDAGraph() for _ in range(3))
    with cuda.graph(first):
        cupy.allocator(100)
    with cuda.graph(second, pool=first.pool()):
        pass
    blocks = first.pool()._blocks
    assert len(blocks.held) == 1  # which CuPy's pool alone would give back to the GPU when memory runs out
    first.reset()
    assert not gpu_memory._unused
    del second
    assert gpu_memory._unused == [blocks]
    with cuda.graph(third):
        assert not gpu_memory._unused
    assert third.pool()._blocks is blocks
    third.reset()
    cupy.calls.clear()
    cuda.empty_cache()
    assert not blocks.held
    assert cupy.calls == [("free_all_blocks", blocks.pool)]


def test_a_replay_in_a_capture_is_refused(cupy):
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        pass
    with (
        cuda.graph(cuda.CUDAGraph()),
        pytest.raises(RuntimeError, match=r"CUDAGraph\.replay cannot be captured in a CUDA graph; capture the other"),
    ):
        g.replay()


def test_one_capture_at_a_time(cupy):
    with (
        cuda.graph(cuda.CUDAGraph()),
        pytest.raises(RuntimeError, match="another capture is going on"),
        cuda.graph(cuda.CUDAGraph()),
    ):
        pass


def test_what_would_stay_as_it_was_is_refused(cupy):
    with (
        cuda.graph(cuda.CUDAGraph()),
        pytest.raises(RuntimeError, match="a copy from the CPU cannot be captured in a CUDA graph; make it before"),
    ):
        tinydl.ones(2).to("cuda")


@pytest.mark.parametrize("call", ["begin_capture", "set_offset_of_replay"])
def test_a_capture_that_does_not_begin(cupy, monkeypatch, call):
    """Nothing stays behind, and the next one works."""
    allocator, kernels = cupy.allocator, sys.modules["tinydl._cuda"]

    def fails(*_):
        raise CUDARuntimeError("cudaErrorUnknown")

    with monkeypatch.context() as patch:
        patch.setattr(fake_cupy.Stream if call == "begin_capture" else kernels, call, fails)
        with pytest.raises(CUDARuntimeError), cuda.graph(cuda.CUDAGraph()):
            pass
    assert capture.active is None
    assert cupy.allocator is allocator
    assert cupy.cuda.get_current_stream().ptr == 0
    offsets = [entry[1] for entry in cupy.calls if entry[0] == "offset"]
    assert offsets[-1:] in ([], [False])
    begun, ended = ([entry[0] for entry in cupy.calls].count(name) for name in ("begin_capture", "end_capture"))
    assert begun == ended == 0
    with cuda.graph(cuda.CUDAGraph()):
        pass


@pytest.mark.parametrize("place", ["block", "end"])
def test_failures(cupy, place):
    g, allocator = cuda.CUDAGraph(), cupy.allocator
    cupy.invalid = True

    def record():
        with cuda.graph(g):
            if place == "block":
                raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")

    with pytest.raises(RuntimeError, match=r"cuda\.graph: the capture failed \(cudaErrorStreamCapture.*what waits for"):
        record()
    assert capture.active is None
    assert cupy.allocator is allocator
    assert cupy.cuda.get_current_stream().ptr == 0
    with pytest.raises(RuntimeError, match="nothing was captured"):
        g.replay()
    cupy.invalid = False
    with pytest.raises(KeyError), cuda.graph(g):
        raise KeyError("the block's own")
    with cuda.graph(g):
        pass
    g.replay()


def test_constants_from_the_cache_are_kept(cupy):
    cuda.constant(3.0, np.dtype("float32"), tinydl.device("cuda"))
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        number = cuda.constant(3.0, np.dtype("float32"), tinydl.device("cuda"))
    assert any(kept is number for kept in g._memory[1])


# -- Random numbers ---------------------------------------------------------------------------------------------


def test_replays_move_on_in_the_stream(cupy):
    random.manual_seed(5)
    random.default_generator.reserve(40)
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        assert random.default_generator.reserve(8) == (5, 10)
        assert random.default_generator.reserve(5) == (5, 12)
    assert random.default_generator.state() == (5, 10)
    found = []
    for replay in range(3):
        g.replay()
        found.append(int(g._offset.get()[0]))
        if replay == 0:
            random.default_generator.reserve(4)  # somebody else's
    assert found == [0, 5, 9]
    assert random.default_generator.state() == (5, 23)
    random.default_generator.set_state((5, 3))  # as a checkpoint does
    g.replay()
    assert int(g._offset.get()[0]) == (1 << 64) - 7
    random.manual_seed(6)
    with pytest.raises(RuntimeError, match="captured with the seed 5, now it is 6; capture again"):
        g.replay()


def test_replays_on_two_streams_wait_for_each_other(cupy, monkeypatch):
    """Before the place in the stream of random numbers, and a step's arguments, are written again."""
    monkeypatch.setattr(Array, "fill", lambda self, value: cupy.calls.append("fill"), raising=False)
    monkeypatch.setattr(Array, "__setitem__", lambda self, key, value: cupy.calls.append("put"))
    x = on_gpu([1.0])
    step = cuda.make_graphed_step(lambda a: random.default_generator.reserve(1), (x,), num_warmup_iters=0)
    other = cuda.Stream()
    cupy.calls.clear()
    step(x)
    with cuda.stream(other):
        step(x)
    launch = ["fill", "launch"]
    there = ("wait_event", other.cuda_stream, 0)
    assert cupy.calls == [
        *("put", *launch, ("record", 0), "raise_reported"),
        *(there, "put", there, *launch, ("record", other.cuda_stream), "raise_reported"),
    ]


def test_two_generators_are_refused(cupy):
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        random.Generator(3).reserve(1)
        with pytest.raises(RuntimeError, match="random numbers of two generators"):
            random.default_generator.reserve(1)


def test_kernels_add_the_replays_offset(gpu_kernels, rng):
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    module = gpu_kernels.module
    x = rng.standard_normal((5, 37)).astype(np.float32)
    q, k, v = rng.standard_normal((3, 1, 2, 6, 8)).astype(np.float32)
    draws = {
        "uniform": lambda offset: gpu_kernels.uniform(50, 0.0, 1.0, 7, offset),
        "normal": lambda offset: gpu_kernels.normal(50, 0.0, 1.0, 7, offset),
        "dropout": lambda offset: gpu_kernels.dropout(x, 0.5, 7, offset)[1],
        "half": lambda offset: gpu_kernels.dropout(x.astype(np.float16), 0.5, 7, offset)[1],
        "attention": lambda offset: gpu_kernels.attention(q, k, v, None, 1.0, False, 0.5, 7, offset)[0],
    }
    wanted = {name: draw(123) for name, draw in draws.items()}
    base = tinydl.emulated.asarray(np.array([100], np.uint64))
    module.set_offset_of_replay(base)
    try:
        for name, draw in draws.items():
            assert np.array_equal(draw(23), wanted[name]), name
            assert not np.array_equal(draw(123), wanted[name]), name
    finally:
        module.set_offset_of_replay(None)
    for name, draw in draws.items():
        assert np.array_equal(draw(123), wanted[name]), name
    with pytest.raises(ValueError, match="set_offset_of_replay: wanted one uint64"):
        module.set_offset_of_replay(tinydl.emulated.asarray(np.zeros(2, np.uint64)))


# -- Steps ------------------------------------------------------------------------------------------------------


def test_a_graphed_step(cupy):
    weight = on_gpu([2.0])
    static, calls = [], []

    def function(x, y):
        static[:] = x, y
        calls.append(x._data.get().tolist())
        weight.grad = on_gpu([len(calls)])
        return "outputs"

    x, y = on_gpu([[1, 2], [3, 4]]), on_gpu([5])
    step = cuda.make_graphed_step(function, (x, y), [weight], num_warmup_iters=2)
    assert calls == [[[1, 2], [3, 4]]] * 3
    assert static[0]._data.data.ptr != x._data.data.ptr
    weight.grad = None
    cupy.calls.clear()
    assert step(on_gpu([[6, 7], [8, 9]]), tinydl.tensor([4.0])) == "outputs"
    assert len(calls) == 3
    assert cupy.calls == ["launch", ("record", 0), "raise_reported"]
    assert static[0]._data.get().tolist() == [[6, 7], [8, 9]]
    assert static[1]._data.get().tolist() == [4]
    assert weight.grad._data.get().tolist() == [3]


def test_arguments_that_do_not_fit(cupy):
    x = on_gpu([1, 2])
    step = cuda.make_graphed_step(lambda a, b: a, (x, x))
    for args, message in (
        ((x,), "got 1 arguments, wanted 2"),
        ((x, on_gpu([1])), r"argument 1 has shape \(1,\) and dtype float32, the captured one \(2,\) and float32; call"),
        ((tinydl.ones(2, dtype="int64"), x), "argument 0 has shape .* and dtype int64"),
    ):
        with pytest.raises(ValueError, match=f"graphed step: {message}"):
            step(*args)
    with pytest.raises(ValueError, match="make_graphed_step: sample 0 is on 'cpu', wanted one on 'cuda'"):
        cuda.make_graphed_step(lambda a: a, (tinydl.ones(2),))


def test_the_norm_of_many_gradients_is_not_stacked_by_cupy(gpu_kernels, monkeypatch):
    """It stacks more than eight arrays by a copy from the CPU, which a replay would repeat from memory that is gone."""
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    called, protocol = [], emulated.ndarray.__array_function__

    def noted(self, func, *args):
        called.append(func.__name__)
        return protocol(self, func, *args)

    monkeypatch.setattr(emulated.ndarray, "__array_function__", noted)
    for dtypes in (["float32"], ["float16"], ["float32", "float64", tinydl.bfloat16]):
        grads = [tinydl.full((k + 1,), 2.0, dtype=dtype, device="cuda-emulated") for k in range(9) for dtype in dtypes]
        norm = nn.utils.get_total_norm(grads)
        assert norm.item() == pytest.approx(2 * (45 * len(dtypes)) ** 0.5, rel=1e-6)
    assert not {"stack", "concatenate"} & set(called)


# -- On a GPU ---------------------------------------------------------------------------------------------------


def model_and_data(seed=0):
    """With more than eight parameters, which CuPy would stack by a copy from the CPU."""
    rng = np.random.default_rng(seed)
    tinydl.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(288, 8),
        nn.Linear(8, 8),
        nn.Linear(8, 4),
    ).to("cuda")
    batches = [
        (
            tinydl.tensor(rng.standard_normal((16, 3, 8, 8)).astype(np.float32), device="cuda"),
            tinydl.tensor(rng.integers(0, 4, 16), device="cuda"),
        )
        for _ in range(4)
    ]
    return model, batches


def train(graphed, max_norm=None):
    """Losses and parameters of four steps; the first three rounds on the first batch warm both ways up."""
    model, batches = model_and_data()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def gradients(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        return loss

    if graphed:
        step = cuda.make_graphed_step(gradients, batches[0], model.parameters(), num_warmup_iters=3)
    else:
        for _ in range(3):
            gradients(*batches[0])
        step = gradients
    losses = []
    for x, y in batches:
        loss = step(x, y)
        optimizer.step()
        losses.append(loss.item())
    return losses, [p.detach().cpu().numpy() for p in model.parameters()]


@pytest.mark.parametrize("max_norm", [None, 0.1])
def test_replays_do_what_plain_steps_do_on_a_gpu(gpu, max_norm):
    losses, parameters = train(graphed=True, max_norm=max_norm)
    wanted_losses, wanted = train(graphed=False, max_norm=max_norm)
    assert losses == wanted_losses
    for ours, theirs in zip(parameters, wanted, strict=True):
        assert np.array_equal(ours, theirs)


def test_dropout_differs_from_replay_to_replay_on_a_gpu(gpu):
    x = tinydl.ones(1000, device="cuda")
    tinydl.manual_seed(1)
    step = cuda.make_graphed_step(lambda a: nn.functional.dropout(a, 0.5), (x,), num_warmup_iters=1)
    found = [step(x).cpu().numpy() for _ in range(2)]
    tinydl.manual_seed(1)
    wanted = [nn.functional.dropout(x, 0.5).cpu().numpy() for _ in range(3)][1:]
    assert np.array_equal(found, wanted)
    assert not np.array_equal(*found)


def test_what_waits_cannot_be_captured_on_a_gpu(gpu):
    x = tinydl.ones(3, device="cuda")
    weight = tinydl.ones(3, device="cuda").requires_grad_()
    weight.grad = tinydl.ones(3, device="cuda")
    optimizer, scaler = optim.SGD([weight], lr=1.0), tinydl.amp.GradScaler("cuda")
    for wait in (lambda: x.sum().item(), lambda: scaler.unscale_(optimizer)):
        with pytest.raises(RuntimeError), cuda.graph(cuda.CUDAGraph()):
            wait()
    assert (x + 1).cpu().tolist() == [2, 2, 2]
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        y = x * 2
    x._data[...] = 5
    g.replay()
    assert y.cpu().tolist() == [10, 10, 10]


def test_memory_of_a_graph_is_not_used_by_others_on_a_gpu(gpu):
    x = tinydl.ones(1 << 16, device="cuda")
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        y = (x * 2) + (x * 3)
    others = [tinydl.zeros(1 << 16, device="cuda") for _ in range(8)]
    g.replay()
    assert (y.cpu().numpy() == 5).all()
    assert not any(other.cpu().numpy().any() for other in others)
