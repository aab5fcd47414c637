"""Every public function, with arguments of the wrong kind in each place, says what it got and what it wanted.

A valid call of each function is searched for among some arguments; then one argument after the other is replaced.
"""

import inspect
import io
import itertools
import re
import typing

import numpy as np
import pytest

import tinydl
import tinydl.nn.functional as F
from tinydl import nn, refusal

SPACES = {"tinydl": tinydl, "nn.functional": F, "Tensor": tinydl.Tensor, "linalg": tinydl.linalg, "nn.init": nn.init}
SETTINGS = {"set_num_threads", "set_cache_limit", "manual_seed", "save", "load", "triplet_margin_with_distance_loss"}

# What Python, NumPy and pybind11 say about lines that the caller has not written.
RAW = re.compile(
    r"incompatible function arguments|'NoneType'|has no attribute|not supported between|unhashable|ufunc|cannot unpack|"
    r"object is not (iterable|subscriptable|callable)|unsupported operand|required positional argument: '(self|x)'"
)
NAMED = re.compile(
    r"[\w.]+: |\w+\(\) (got|missing|takes)|got an operand of type|only floating-point tensors can|device "
)


def arguments():
    """Fresh arguments, the likeliest first."""
    rng = np.random.default_rng(0)

    def x(*shape):
        return tinydl.tensor(rng.uniform(0.1, 0.9, shape).astype(np.float32))

    indices = tinydl.tensor([[0, 1], [1, 0]])
    return [
        *(x(2, 3), indices, x(3, 3), 1, x(3), (0,), (2,), tinydl.tensor([1, 0]), tinydl.tensor([[True, False, True]])),
        *([x(2, 3), x(2, 3)], x(1, 2, 4, 4), x(2, 2, 2, 2), 0.5, x(1, 2, 4), x(2, 2, 2), x(4, 3), "mean", (3, 3)),
        *(tinydl.tensor([1]), np.ones(3, np.float32)),
    ]


WRONG = {
    "None": lambda: None,
    "a string": lambda: "a",
    "a number": lambda: 2.5,
    "an object": object,
    "a list": lambda: [None],
    "a tuple": lambda: (2, 0),
    "integers": lambda: tinydl.tensor([[1, 2, 3]]),
    "a bool tensor": lambda: tinydl.tensor([True]),
    "another shape": lambda: tinydl.ones(1, 5),
    "a complex number": lambda: 1j,
    "an array": lambda: np.zeros((7, 2)),
    "below 0": lambda: -3,
    "a dict": dict,
    "no elements": lambda: tinydl.zeros(0),
    "half": lambda: tinydl.ones(2, 3).half(),
    "NaN": lambda: float("nan"),
}


def functions(space):
    for name, function in list(vars(space).items()):
        ours = inspect.isfunction(function) and function.__module__.startswith("tinydl.")
        if ours and not name.startswith("_") and name not in SETTINGS:
            yield name, function


def valid_call(function, method=False):
    """The places of arguments, among the first of `arguments()`, that the function takes; None if none was found."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    if not parameters:
        return ()
    least = sum(p.kind in kinds and p.default is p.empty for p in parameters)
    some = range(len(arguments()) if least < 3 else 8)
    for count in (least, least + 1) if least < 2 else (least,):
        for places in itertools.islice(itertools.product(some, repeat=count), 700):
            given = arguments()
            if method and not isinstance(given[places[0]], tinydl.Tensor):
                continue
            try:
                function(*[given[place] for place in places])
            except Exception:
                continue
            return places
    return None


def complaint(call, *args, **kwargs):
    """What is wrong with the error that a call raises, None where it raises none or a good one."""
    try:
        call(*args, **kwargs)
    except (ValueError, TypeError, IndexError) as error:
        if RAW.search(str(error)) or not NAMED.match(str(error)):
            return f"{type(error).__name__}: {error}"
    except (RuntimeError, NotImplementedError):
        pass  # about gradients, and what is not there
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("space", SPACES)
def test_arguments_of_the_wrong_kind(space):
    found, tried = [], 0
    for name, function in functions(SPACES[space]):
        places = valid_call(function, space == "Tensor")
        if places is None:
            continue
        tried += 1
        quick = not refusal._is_guarded(function)
        parameters = list(inspect.signature(function).parameters.values())
        for parameter, (kind, wrong) in itertools.product(range(len(parameters)), WRONG.items()):
            if (space == "Tensor" and not parameter) or (quick and kind == "an array"):
                continue
            args, kwargs = [arguments()[place] for place in places], {}
            if parameter < len(args):
                args[parameter] = wrong()
            elif parameters[parameter].kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
                continue
            else:
                kwargs[parameters[parameter].name] = wrong()
            text = complaint(function, *args, **kwargs)
            if text:
                found.append(f"{name}({parameters[parameter].name} = {kind}): {text}")
    assert not found, "\n".join(found)
    assert tried >= 3


def rows():
    return tinydl.ones(2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(3, 2)([1, 2, 3]), r"Linear: input is the list \[1, 2, 3\], wanted a tensor"),
        (lambda: nn.Sequential(nn.Linear(3, 2))(None), "Linear: input is None, wanted a tensor"),
        (lambda: F.batch_norm(rows(), 0.5, 1.0), "batch_norm: running_mean is 0.5, wanted a tensor or None"),
        (lambda: F.layer_norm(rows(), (3,), 2.0), "layer_norm: weight is 2.0, wanted a tensor or None"),
        (lambda: F.embedding(tinydl.tensor([0]), 0), "embedding: weight is 0, wanted a tensor"),
        (lambda: F.prelu(rows(), 0.1), "prelu: weight is 0.1, wanted a tensor"),
        (lambda: F.linear(rows(), 3), "linear: got int, wanted a tensor"),
        (lambda: F.elu(rows(), (2, 0)), r"elu: alpha is the tuple \(2, 0\), wanted a number"),
        (lambda: F.dropout(rows(), "x"), "dropout: p is 'x', wanted a number"),
        (lambda: rows().sum(keepdim="a"), "sum: keepdim is 'a', wanted a bool"),
        (lambda: rows() @ None, "matmul: got None, wanted a tensor"),
        (lambda: tinydl.zeros(2, dtype="zz"), "zeros: data type 'zz' not understood .got size"),
        (lambda: tinydl.relu(rows(), 3), r"relu\(\) takes 1 positional argument but 2 were given"),
    ],
)
def test_messages(call, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        call()


def test_errors_of_the_callers_own_code_pass_unchanged():
    class Broken(nn.Module):
        def forward(self, x):
            return x.no_such_method()

    with pytest.raises(AttributeError, match="no_such_method"):
        nn.Sequential(Broken())(rows())


def refuses(*_):
    raise ValueError("on purpose")


class Refuses(nn.Module):
    def forward(self, x):
        return refuses(x)


class RefusesBackward(tinydl.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return refuses()


def hooked():
    y = tinydl.ones(2, requires_grad=True) * 2
    y.register_hook(refuses)
    return y.sum()


def with_hook():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(refuses)
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    "call",
    [
        lambda: nn.Sequential(Refuses())(rows()),
        lambda: nn.Sequential(nn.Sequential(Refuses()))(rows()),
        lambda: with_hook()(rows()),
        lambda: hooked().backward(),
        lambda: RefusesBackward.apply(tinydl.ones(1, requires_grad=True)).backward(),
        lambda: rows().apply_(refuses),
        lambda: rows().map_(rows(), refuses),
        lambda: F.triplet_margin_with_distance_loss(rows(), rows(), rows(), distance_function=refuses),
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=refuses)(rows(), rows(), rows()),
    ],
)
def test_errors_raised_on_purpose_by_the_callers_code_keep_message_and_traceback(call):
    with pytest.raises(ValueError, match=r"^on purpose$") as caught:
        call()
    assert caught.traceback[-1].name == "refuses"


def test_a_wrong_call_within_a_layer_is_not_taken_for_one_of_the_layer_around():
    class Wrong(nn.Module):
        def forward(self, x):
            return x.reshape("a")

    with pytest.raises((TypeError, ValueError)) as caught:
        nn.Sequential(Wrong())(rows())
    assert "Sequential" not in str(caught.value)
    assert "forward" in [entry.name for entry in caught.traceback]


def test_a_fault_of_the_engines_stays_in_sight():
    def faulty(x):
        return x.no_such_method()

    faulty.__code__ = faulty.__code__.replace(co_filename=refusal.__file__)  # as if it were a line of the project's
    faulty.__annotations__ = {"x": tinydl.Tensor}
    with pytest.raises(TypeError, match=r"^faulty: ") as caught:
        refusal.guarded(faulty)(rows())
    assert "no_such_method" in str(caught.value.__cause__)


def test_files_fit_where_files_are_wanted():
    assert refusal.fits(io.BytesIO(), typing.BinaryIO)


def test_a_cause_given_on_purpose_stays():
    def fails(x):
        raise ValueError("fails: on purpose") from KeyError("cause")

    with pytest.raises(ValueError, match="fails: on purpose") as caught:
        refusal.guarded(fails)(3)
    assert isinstance(caught.value.__cause__, KeyError)
