"""The arrays of the emulated GPU refuse what CuPy's refuse: where CuPy is installed, its signatures are the oracle."""

import inspect

import numpy as np
import pytest

from tinydl import emulated

X = emulated.asarray(np.arange(6.0).reshape(2, 3))


def functions(module):
    """NumPy's functions that hand over to the arrays' own."""
    for name in sorted(vars(module)):
        if type(getattr(module, name)).__name__ == "_ArrayFunctionDispatcher" and not name.startswith("_"):
            yield name, getattr(module, name)


def lacking(function, cupys):
    """The parameters of NumPy's function that CuPy's has not; None where it says nothing of them."""
    try:
        parameters = inspect.signature(cupys).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return set()
    ours = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    starred = {p.name for p in ours if p.kind is p.VAR_POSITIONAL}
    return {p.name for p in ours} - {p.name for p in parameters} - starred - {"like", "device"}


@pytest.mark.parametrize("prefix", ["", "linalg."])
def test_functions_and_parameters_are_those_of_cupy(prefix):
    space = pytest.importorskip("cupy", reason="CuPy is not installed")
    module = np.linalg if prefix else np
    space = space.linalg if prefix else space
    for name, function in functions(module):
        cupys = getattr(space, name, None)
        missing = cupys is None or cupys is function
        assert missing == (prefix + name in emulated._MISSING), name
        found = None if missing else lacking(function, cupys)
        # Names of the first argument alone, as in histogram(a), are nothing that code of ours says.
        if found is not None and name != "piecewise":
            assert found == emulated._LACKING.get(prefix + name, set()), name


def test_methods_are_those_of_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    for name in dir(np.ndarray):
        if not name.startswith("_"):
            assert hasattr(cupy.ndarray, name) == (name not in emulated._NO_METHODS), name
            assert hasattr(X, name) == (name not in emulated._NO_METHODS), name


def test_ufuncs_are_those_of_cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    for name, ufunc in vars(np).items():
        if isinstance(ufunc, np.ufunc):
            assert hasattr(cupy, ufunc.__name__) == (ufunc.__name__ not in emulated._MISSING), name
            scatters = getattr(getattr(cupy, ufunc.__name__, None), "_scatter_op", None) is not None
            assert scatters == (ufunc.__name__ in emulated._UFUNC_METHODS["at"]), name


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: np.count_nonzero(X, axis=0, keepdims=True), TypeError),
        (lambda: np.max(X, initial=0), TypeError),
        (lambda: X.max(initial=0), TypeError),
        (lambda: np.sum(X, where=X > 0), TypeError),
        (lambda: np.add(X, X, where=X > 0), TypeError),
        (lambda: np.maximum.accumulate(X), NotImplementedError),
        (lambda: np.multiply.at(X, 0, 2), NotImplementedError),
        (lambda: np.add.at(X.astype(np.int64), 0, 2), TypeError),
        (lambda: np.unstack(X), TypeError),
        (lambda: emulated.unstack, AttributeError),
        (lambda: np.linalg.vector_norm(X), TypeError),
        (lambda: emulated.indices((2, 2), sparse=True), TypeError),
        (lambda: np.linalg.solve(X[:, :2], X[None, :, :1]), ValueError),
        (lambda: np.linalg.lstsq(X[None], X[None]), np.linalg.LinAlgError),
        (lambda: np.ascontiguousarray(X), TypeError),
        (lambda: np.lexsort(X, axis=0), TypeError),
        (lambda: np.where(np.ones(3, bool), X, X), TypeError),
        (lambda: X[np.zeros(1, int)], TypeError),
        (lambda: X.setflags(), AttributeError),
        (lambda: range(emulated.asarray(3)), TypeError),
        (lambda: X[[7]], AssertionError),
        (lambda: X.take(emulated.asarray([7])), AssertionError),
        (lambda: X[7], IndexError),
    ],
)
def test_what_cupy_refuses_is_refused(call, error):
    with pytest.raises(error):
        call()


def test_what_cupy_takes_is_taken():
    assert np.count_nonzero(X, axis=0).get().tolist() == [1, 2, 2]
    assert X[[1, 0], [0, -1]].get().tolist() == [3.0, 2.0]
    assert np.add.accumulate(X, axis=1).get().tolist() == [[0, 1, 3], [3, 7, 12]]
    assert X.flat[5].get() == 5
