"""`tinydl.save` and `tinydl.load`: what is written comes back, nothing is half written, and wrong files say so.

The format itself is tested with the checkpoints of training, which share it.
"""

import io
import os
import pickle
import signal

import numpy as np
import pytest

import tinydl
from tinydl import dtypes, nn, optim

STATE = {
    "tensors": [tinydl.arange(6.0).reshape(2, 3).t(), tinydl.tensor(True), tinydl.zeros(0, 3), tinydl.tensor(2.5)],
    "kinds": {
        str(d): tinydl.ones(3, dtype=d)
        for d in (tinydl.bool, tinydl.uint8, tinydl.int8, tinydl.int64, tinydl.float16, tinydl.float64)
    },
    "bfloat16": tinydl.ones(3).to(dtypes.bfloat16()),
    "array": np.arange(4.0)[::2],
    "plain": [1, 2**80, -0.5, float("inf"), None, True, "text \ud800", (), [], {}, (1, (2,))],
    "keys": {0: "a", None: "b", 1.5: "c", ("x", 2): "d", True: "e"},
    "__metadata__": tinydl.ones(2),
    "\ud800": tinydl.zeros(1),
    "": {"$tensor": 1, "a.b": tinydl.ones(1), "a": {"b": tinydl.zeros(1)}},
}


def same(a, b):
    """Whether two states are of one kind, and equal to the last bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, tinydl.Tensor):
        return same(a._data, b._data) and a.requires_grad == b.requires_grad
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(map(repr, a)) == list(map(repr, b)) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("state", [STATE, [1, (2, 3)], tinydl.ones(2, 3), None, 7, tinydl.ones(2, requires_grad=True)])
def test_round_trip(tmp_path, state):
    tinydl.save(state, tmp_path / "a.pt")
    assert same(tinydl.load(tmp_path / "a.pt"), state)
    file = io.BytesIO()
    tinydl.save(state, file)
    assert same(tinydl.load(io.BytesIO(file.getvalue())), state)
    with open(tmp_path / "a.pt", "rb") as opened:
        assert same(tinydl.load(opened, map_location="cpu", weights_only=True), state)


def test_a_nan_comes_back():
    file = io.BytesIO()
    tinydl.save([float("nan")], file)
    assert np.isnan(tinydl.load(io.BytesIO(file.getvalue()))[0])


@pytest.mark.parametrize("dtype", [">f4", ">i8", ">f2"])
def test_arrays_of_the_other_byte_order_come_back_in_this_machines(dtype):
    file = io.BytesIO()
    tinydl.save({"a": np.arange(3).astype(dtype)}, file)
    got = tinydl.load(io.BytesIO(file.getvalue()))["a"]
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    assert got.tolist() == [0, 1, 2]


def test_what_is_loaded_can_be_changed():
    file = io.BytesIO()
    tinydl.save(tinydl.ones(2), file)
    got = tinydl.load(io.BytesIO(file.getvalue()))
    got += 1
    assert got.tolist() == [2, 2]


def trained(steps, path=None, resume=False):
    """The weights after some steps; in the middle the state goes into a file, or comes out of it into new objects."""
    tinydl.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    optimizer = optim.AdamW(model.parameters(), lr=0.1, amsgrad=True)
    schedule = optim.lr_scheduler.StepLR(optimizer, 2)
    x, labels = tinydl.rand(5, 1, 4, 4), tinydl.tensor([0, 1, 2, 1, 0])
    for step in range(steps):
        if step == steps // 2 and path is not None:
            if resume:
                model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
                optimizer = optim.AdamW(model.parameters(), lr=0.7, amsgrad=True)
                schedule = optim.lr_scheduler.StepLR(optimizer, 9)
                state = tinydl.load(path)
                model.load_state_dict(state["model"])
                optimizer.load_state_dict(state["optimizer"])
                schedule.load_state_dict(state["schedule"])
            else:
                parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
                tinydl.save({name: part.state_dict() for name, part in parts.items()}, path)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        schedule.step()
    return model.state_dict()


def test_training_goes_on_to_the_same_bits(tmp_path):
    whole = trained(6, tmp_path / "a.pt")
    assert same(trained(6, tmp_path / "a.pt", resume=True), whole)


def test_other_safetensors_files(tmp_path):
    from safetensors.numpy import save_file

    arrays = {"w": np.ones((2, 3), np.float32), "n": np.array(3)}
    save_file(arrays, tmp_path / "a.safetensors", metadata={"format": "pt"})
    got = tinydl.load(tmp_path / "a.safetensors")
    assert same({name: got[name] for name in sorted(got)}, {k: tinydl.tensor(v) for k, v in sorted(arrays.items())})


def test_truncated(tmp_path):
    path = tmp_path / "a.pt"
    tinydl.save({"w": tinydl.rand(9), "n": [1, "x"]}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.pt: not a safetensors file"):
            tinydl.load(path)


def test_torch_files_say_how_to_convert_them(tmp_path, torch):
    for zipped in (True, False):
        torch.save({"w": torch.ones(2)}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match=r"a\.pt: .*torch\.save.*safetensors\.torch\.save_file"):
            tinydl.load(tmp_path / "a.pt")


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    (tmp_path / "a.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"a\.pt: .*pickle could run code"):
        tinydl.load(tmp_path / "a.pt")
    assert os.listdir(tmp_path) == ["a.pt"]


def held_by_itself():
    state = {}
    state["me"] = [state]
    return state


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (nn.Linear(2, 3), TypeError, r"save: the state is a Linear, .*state_dict\(\)"),
        ({"model": nn.Linear(2, 3)}, TypeError, r"save: model is a Linear, .*state_dict\(\)"),
        ([optim.SGD([tinydl.ones(1, requires_grad=True)], 0.1)], TypeError, r"save: 0 is a SGD, .*state_dict\(\)"),
        ({"a": {"f": len}}, TypeError, r"save: a\.f is a builtin_function_or_method; wanted"),
        ({"a": {1, 2}}, TypeError, "save: a is a set; wanted"),
        ({"a": 1j}, TypeError, "save: a is a complex; wanted"),
        ({"a": np.array(["x"])}, TypeError, "save: an array cannot be written"),
        ({"a": np.array([None])}, TypeError, "save: a is an array of dtype object; wanted"),
        ({(tinydl.ones(1),): 1}, TypeError, "save: the state has a tensor or an array in a key"),
        ({object(): 1}, TypeError, "save: a key of the state is a object; wanted"),
        (held_by_itself(), ValueError, "save: a dict, list or tuple holds itself"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_file_exists(tmp_path, state, error, message):
    with pytest.raises(error, match=message):
        tinydl.save(state, tmp_path / "a.pt")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_the_former_file(tmp_path):
    resource = pytest.importorskip("resource")
    tinydl.save({"version": 1}, tmp_path / "a.pt")
    handler, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            tinydl.save({"version": tinydl.ones(5000)}, tmp_path / "a.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.listdir(tmp_path) == ["a.pt"]
    assert tinydl.load(tmp_path / "a.pt") == {"version": 1}


def test_wrong_files_and_places(tmp_path):
    tinydl.save({}, tmp_path / "a.pt")
    with pytest.raises(TypeError, match="save: got int as f, wanted a path"):
        tinydl.save({}, 3)
    with pytest.raises(TypeError, match="load: got NoneType as f, wanted a path"):
        tinydl.load(None)
    with pytest.raises(TypeError, match="save: the file takes text"):
        tinydl.save({}, io.StringIO())
    with pytest.raises(TypeError, match="load: the file gives text"):
        tinydl.load(io.StringIO("x"))
    with pytest.raises(ValueError, match="'cuda' is not available"):
        tinydl.load(tmp_path / "a.pt", map_location="cuda")
    with pytest.raises(TypeError, match="load: got map_location=3"):
        tinydl.load(tmp_path / "a.pt", map_location=3)
    for place in (tinydl.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert tinydl.load(tmp_path / "a.pt", map_location=place) == {}
    with pytest.raises(FileNotFoundError):
        tinydl.load(tmp_path / "none.pt")

    class Refusing:
        def write(self, data):
            raise TypeError("my own")

    with pytest.raises(TypeError, match=r"^my own"):
        tinydl.save({}, Refusing())


def test_a_file_with_empty_metadata():
    header = b'{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    assert tinydl.load(io.BytesIO(len(header).to_bytes(8, "little") + header + b"x"))["a"].tolist() == [120]
