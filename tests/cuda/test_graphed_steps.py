"""Optimisers' steps within CUDA graphs: on the emulated kernels, whose calls a stand-in for the GPU records."""

import types

import numpy as np
import pytest

import tinydl
from tests.support import fake_cupy
from tests.support.fake_cupy import Array
from tinydl import cuda, nn, optim
from tinydl.train.graphed import PLAIN, GraphedSteps

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.1, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.1),
    "adamax": lambda p: optim.Adamax(p, lr=0.1),
    "nadam": lambda p: optim.NAdam(p, lr=0.1),
    "radam": lambda p: optim.RAdam(p, lr=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.1, centered=True, momentum=0.5),
    "adadelta": lambda p: optim.Adadelta(p, lr=0.1),
    "asgd": lambda p: optim.ASGD(p, lr=0.1, t0=2),
    "rprop": lambda p: optim.Rprop(p, lr=0.1),
}


STALE = "an optimiser's step would not be the captured one, since groups.*; capture again"


class Recorder(types.ModuleType):
    """Stands for `tinydl._cuda`: the emulated kernels, of whose steps a capture keeps the calls and runs none."""

    def __init__(self, kernels):
        super().__init__("tinydl._cuda")
        self.kernels = kernels
        self.use_arrays = lambda *args: None
        self.set_slots_of_replay = self.set_slots  # before the stand-in's own
        self.calls = None  # those of the capture that is going on
        self.slotted = False

    def __getattr__(self, name):
        function = getattr(self.kernels, name)
        if not name.endswith("_step"):
            return function

        def call(*args):
            if self.calls is not None:
                self.calls.append((function, args))
            if self.calls is None or self.slotted:
                function(*args)

        return call

    def set_slots(self, array, fills=False):
        """A capture's steps fill their slots, which steps nothing."""
        self.slotted = array is not None
        if self.calls is not None:
            self.calls.append((self.kernels.set_slots_of_replay, (array,)))
        return self.kernels.set_slots_of_replay(array, fills or self.calls is not None)


@pytest.fixture
def recorder(monkeypatch, gpu_kernels):
    """A GPU whose graphs are lists of calls."""
    if gpu_kernels.device != "emulated":
        pytest.skip("of the emulation")
    recorder = Recorder(gpu_kernels.module)
    fake_cupy.install(monkeypatch, recorder)
    begin, end = fake_cupy.Stream.begin_capture, fake_cupy.Stream.end_capture

    def begin_capture(stream):
        begin(stream)
        recorder.calls = []

    def end_capture(stream):
        calls, recorder.calls = recorder.calls, None
        end(stream)
        return types.SimpleNamespace(launch=lambda: [function(*args) for function, args in calls])

    monkeypatch.setattr(fake_cupy.Stream, "begin_capture", begin_capture)
    monkeypatch.setattr(fake_cupy.Stream, "end_capture", end_capture)
    cuda.load(tinydl.device("cuda"))
    yield recorder
    fake_cupy.forget_the_machine()


def parameters(rng, dtype="float32"):
    """Three parameters and the gradients of six steps."""
    shapes = (3, 5), (7,), (1,)
    params = [tinydl.Tensor(Array(rng.standard_normal(s).astype(dtype)), requires_grad=True) for s in shapes]
    return params, [[rng.standard_normal(s).astype(dtype) for s in shapes] for _ in range(6)]


def set_gradients(params, gradients):
    """In the memory that the first gradients lay in, as a graph's backward pass does."""
    for p, values in zip(params, gradients, strict=True):
        if p.grad is None:
            p.grad = tinydl.Tensor(Array(values.copy()))
        else:
            p.grad._data[...] = Array(values)


def values(params):
    return [p._data.get().tolist() for p in params]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replays_are_the_steps_that_plain_ones_would_be(recorder, rng, name):
    state = rng.bit_generator.state
    found = []
    for graphed in (False, True):
        rng.bit_generator.state = state
        params, gradients = parameters(rng)
        optimizer = OPTIMIZERS[name](params)
        scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        g = cuda.CUDAGraph()
        path = []
        for number, each in enumerate(gradients):
            set_gradients(params, each)
            if graphed and number == 2:
                before = values(params), optimizer.state_dict()["param_groups"], steps_of(optimizer)
                with cuda.graph(g):
                    optimizer.step()
                assert (values(params), optimizer.state_dict()["param_groups"], steps_of(optimizer)) == before
            if graphed and number >= 2:
                g.replay()
            else:
                optimizer.step()
            scheduler.step()
            path.append((values(params), steps_of(optimizer)))
        found.append(path)
    assert found[0] == found[1]
    assert found[0][-1][0] != found[0][-2][0]


def steps_of(optimizer):
    return [optimizer.state[p].get("step") for p in optimizer._params()]


def test_groups_and_dtypes_have_numbers_of_their_own(recorder, rng):
    state = rng.bit_generator.state
    found = []
    for graphed in (False, True):
        rng.bit_generator.state = state
        singles, gradients = parameters(rng)
        doubles, more = parameters(rng, "float64")
        optimizer = optim.Adam([{"params": [*singles, doubles[0]]}, {"params": doubles[1:], "lr": 0.5}], lr=0.1)
        g = cuda.CUDAGraph()
        for number, (each, others) in enumerate(zip(gradients, more, strict=True)):
            set_gradients(singles + doubles, each + others)
            if graphed and number == 1:
                with cuda.graph(g):
                    optimizer.step()
                assert len(g._slots.keys) == 3
            optimizer.param_groups[1]["lr"] = 0.5 / (number + 1)
            g.replay() if graphed and number else optimizer.step()
        found.append(values(singles + doubles))
    assert found[0] == found[1]


def test_the_first_step_is_refused(recorder, rng):
    for name, make in OPTIMIZERS.items():
        params, gradients = parameters(rng)
        set_gradients(params, gradients[0])
        optimizer = make(params)
        begins = name not in ("sgd", "adagrad")  # which have no state, or all of it from the beginning
        if not begins:
            with cuda.graph(cuda.CUDAGraph()):
                optimizer.step()
            continue
        refused = pytest.raises(RuntimeError, match=r"step: the first step of a parameter cannot be captured")
        with refused, cuda.graph(cuda.CUDAGraph()):
            optimizer.step()
        assert not any(optimizer.state[p] for p in params)
        optimizer.step()
        assert steps_of(optimizer) in ([1, 1, 1], [None] * 3)


def test_a_replay_that_cannot_be_takes_no_step(recorder, rng):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:]}])
    optimizer.step()
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        optimizer.step()
    before = values(params)
    optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match=r"Adam: got lr = -1\.0"):
        g.replay()
    assert (values(params), steps_of(optimizer)) == (before, [1, 1, 1])
    optimizer.param_groups[1]["lr"] = 0.1
    optimizer.add_param_group({"params": [params[0].detach().clone().requires_grad_()]})
    g.replay()  # it has no gradient in the graph
    assert steps_of(optimizer) == [2, 2, 2, None]
    optimizer.param_groups[1:] = []
    before = values(params)
    with pytest.raises(RuntimeError, match=STALE):
        g.replay()
    assert (values(params), steps_of(optimizer)) == (before, [2])
    optimizer.step()
    assert steps_of(optimizer) == [3]


def captured(optimizer):
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        optimizer.step()
    return g


def stepped_adam(rng, *groups):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = optim.Adam([{"params": [params[i] for i in group]} for group in groups] or params, lr=0.1)
    optimizer.step()
    return params, optimizer


def refused(g, optimizer, params):
    """A replay raises and steps nothing."""
    before = values(params), steps_of(optimizer)
    with pytest.raises(RuntimeError, match=STALE):
        g.replay()
    assert (values(params), steps_of(optimizer)) == before


def test_parameters_that_step_apart_from_now_on_are_refused(recorder, rng):
    """As many updates as were captured, but of others."""
    params, optimizer = stepped_adam(rng)
    for p in params[:2]:
        p.grad, p.kept = None, p.grad
    for _ in range(3):
        optimizer.step()
    for p in params[:2]:
        p.grad = p.kept
    g = captured(optimizer)
    assert len(g._slots.keys) == 2
    params[0].grad = params[2].grad = None
    for _ in range(3):
        optimizer.step()
    assert steps_of(optimizer) == [1, 4, 4]
    refused(g, optimizer, params)


def test_parameters_that_change_groups_are_refused(recorder, rng):
    params, optimizer = stepped_adam(rng, [0, 1], [2])
    g = captured(optimizer)
    optimizer.param_groups[1]["params"].append(optimizer.param_groups[0]["params"].pop())
    refused(g, optimizer, params)


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [(optim.SGD, "momentum", 0.9), (optim.Adam, "amsgrad", True), (optim.RMSprop, "centered", True)],
)
def test_options_that_need_other_states_are_refused(recorder, rng, kind, option, value):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = kind(params, lr=0.1)
    optimizer.step()
    g = captured(optimizer)
    optimizer.param_groups[0][option] = value
    refused(g, optimizer, params)
    optimizer.step()
    captured(optimizer).replay()


def test_a_capture_that_fails_leaves_the_step_numbers(recorder, rng):
    _, optimizer = stepped_adam(rng, [0], [1, 2])
    optimizer.param_groups[1]["lr"] = -1.0
    with pytest.raises(ValueError, match="got lr = -1"):
        captured(optimizer)
    assert steps_of(optimizer) == [1, 1, 1]


def test_steps_that_no_slot_serves(recorder, rng):
    """One of the CPU's, and those that a subclass computes itself, would not be what a replay repeats."""
    weight = tinydl.ones(2, requires_grad=True)
    weight.sum().backward()
    with pytest.raises(RuntimeError, match=r"SGD\.step on parameters of the CPU cannot be captured in a CUDA graph"):
        captured(optim.SGD([weight], lr=1.0))
    assert weight.tolist() == [1, 1]
    gaps = tinydl.Tensor(Array(np.ones((2, 4), np.float32)[:, ::2]), requires_grad=True)
    gaps.grad = tinydl.Tensor(Array(np.ones((2, 2), np.float32)))
    with pytest.raises(RuntimeError, match=r"SGD\.step on parameters with gaps in memory cannot be captured"):
        captured(optim.SGD([gaps], lr=1.0))

    class Own(optim.Optimizer):
        def _call(self, group, params, step):
            for p in params:
                p._data[...] -= p.grad._data

    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    before = values(params)
    with pytest.raises(RuntimeError, match=r"Own\.step, a class of your own, cannot be captured"):
        captured(Own(params, {}))
    assert values(params) == before


def test_kernels_refuse_steps_in_a_capture_that_take_no_slot(recorder):
    kernels = recorder.kernels
    p, gradient = (tinydl.emulated.asarray(np.ones(2, np.float32)) for _ in range(2))
    kernels.set_offset_of_replay(tinydl.emulated.asarray(np.zeros(1, np.uint64)))
    try:
        with pytest.raises(ValueError, match="a step in the capture of a CUDA graph would keep its numbers"):
            kernels.sgd_step([p], [gradient], [], 1.0, 1.0, 0.0, 0.0, False, False, 0.0, 1.0, False)
    finally:
        kernels.set_offset_of_replay(None)
    assert p.get().tolist() == [1, 1]


def test_a_captured_step_leaves_no_state_where_plain_ones_leave_none(recorder, rng):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = optim.SGD(params, lr=1.0)
    captured(optimizer).replay()
    assert not optimizer.state_dict()["state"]


def test_steps_on_batches_of_a_kind_are_replayed_until_states_are_replaced(recorder, rng):
    """The trainer's way to graphs, whose batches here do not matter."""
    state = rng.bit_generator.state
    found = []
    for graphed in (False, True):
        rng.bit_generator.state = state
        params, gradients = parameters(rng)
        optimizer = optim.Adam(params, lr=0.1)
        ran = []

        def step(batch, optimizer=optimizer, ran=ran):
            ran.append(batch)
            optimizer.step()
            return batch

        owner = types.SimpleNamespace(model=nn.Identity(), optimizer=optimizer, loss=None, forward=None)
        steps = GraphedSteps(step, owner) if graphed else step
        batch = tinydl.Tensor(Array(np.ones(2, np.float32)))
        for number in range(14):
            set_gradients(params, gradients[number % 6])
            if number == 7:
                optimizer.load_state_dict(optimizer.state_dict())
            steps(batch)
        found.append((values(params), steps_of(optimizer)))
        if graphed:
            assert len(ran) == 2 * (PLAIN + 1)
    assert found[0] == found[1]


def test_states_that_lie_elsewhere_are_refused(recorder, rng):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = optim.Adam(params)
    optimizer.step()
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        optimizer.step()
    g.replay()
    before = values(params)
    optimizer.load_state_dict(optimizer.state_dict())
    with pytest.raises(RuntimeError, match=STALE):
        g.replay()
    assert (values(params), steps_of(optimizer)) == (before, [2, 2, 2])


def test_gradients_are_those_of_the_capture_and_stay_as_they_are(recorder, rng):
    params, gradients = parameters(rng)
    set_gradients(params, gradients[0])
    optimizer = optim.SGD(params, lr=1.0)
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        optimizer.step()
        optimizer.zero_grad()
    before = values(params)
    g.replay()
    assert all(p.grad is None for p in params)
    for p, old, gradient in zip(params, before, gradients[0], strict=True):
        assert np.array_equal(p._data.get(), np.float32(old) - gradient)


def test_too_many_updates_and_wrong_slots_are_refused(recorder):
    kernels = recorder.kernels
    p, gradient = (tinydl.emulated.asarray(np.ones(2, np.float32)) for _ in range(2))
    slots = tinydl.emulated.asarray(np.zeros((1, 128), np.uint8))
    kernels.set_slots_of_replay(slots, True)
    step = [p], [gradient], [], 1.0, 1.0, 0.0, 0.0, False, False, 0.0, 1.0, False
    kernels.sgd_step(*step)
    with pytest.raises(ValueError, match="a graph holds at most 1 updates"):
        kernels.sgd_step(*step)
    assert len(kernels.set_slots_of_replay(None)) == 1
    assert p.get().tolist() == [1, 1]
    for wrong in (np.zeros((1, 128), np.int8), np.zeros((1, 64), np.uint8), np.zeros(128, np.uint8)):
        with pytest.raises(
            ValueError, match=r"set_slots_of_replay: wanted an array of uint8 with the shape \(slots, 128\)"
        ):
            kernels.set_slots_of_replay(tinydl.emulated.asarray(wrong))


# -- On a GPU ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_graphed_training_step_on_a_gpu(gpu, name):
    rng = np.random.default_rng(4)
    x, y = (tinydl.tensor(rng.standard_normal((16, 8)).astype(np.float32), device="cuda") for _ in range(2))
    found = []
    for graphed in (False, True):
        tinydl.manual_seed(2)
        model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8)).to("cuda")
        optimizer = OPTIMIZERS[name](list(model.parameters()))

        def train(a, b, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(a), b)
            loss.backward()
            optimizer.step()
            return loss

        if graphed:
            step = cuda.make_graphed_step(train, (x, y), model.parameters(), num_warmup_iters=2)
        else:
            step = train
            step(x, y)
            step(x, y)
        losses = []
        for number in range(5):
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
            losses.append(step(x, y).item())
        found.append((losses, [p.detach().cpu().tolist() for p in model.parameters()]))
    assert found[0] == found[1]
