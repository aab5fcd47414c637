"""Checkpoint files: the same state comes back, and nothing but whole files exists."""

import json
import os
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

import tinydl
from tinydl.train import checkpoint

from .models import bits

STATE = {
    "model": {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3).T, "scalar": np.array(2.5)},
    "optimizer": {"state": {0: {"step": 3, "exp_avg": np.ones(2)}}, "groups": [{"betas": (0.9, 0.999)}]},
    "generator": (2**64 - 1, 2**63),
    "values": [0.1, float("inf"), None, True, "text", np.float32(0.1), np.int64(7)],
    "empty": {"array": np.zeros((0, 3), np.int8), "dict": {}, "list": []},
    "$odd": 1,
}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", STATE)
    got = checkpoint.load(tmp_path / "a.safetensors")
    assert bits(got) == bits({**STATE, "values": [*STATE["values"][:5], float(np.float32(0.1)), 7]})
    assert got["generator"] == STATE["generator"]
    assert got["optimizer"]["groups"][0]["betas"] == (0.9, 0.999)


def test_tensors_are_found_by_other_readers(tmp_path):
    from safetensors.numpy import load_file

    checkpoint.save(tmp_path / "a.safetensors", {"model": {"0.weight": tinydl.ones(2, 3)}})
    assert load_file(tmp_path / "a.safetensors")["model.0.weight"].tolist() == [[1, 1, 1], [1, 1, 1]]


def test_unknown_values_are_refused_before_a_file_exists(tmp_path):
    with pytest.raises(TypeError, match=r"checkpoint: model\.f is a function"):
        checkpoint.save(tmp_path / "a.safetensors", {"model": {"f": test_round_trip}})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("existed", [False, True])
@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
def test_a_crash_leaves_the_former_file_or_none(tmp_path, monkeypatch, where, existed):
    path = tmp_path / "a.safetensors"
    if existed:
        checkpoint.save(path, {"version": 1})
    before = path.read_bytes() if existed else None

    def crash(*_):
        raise KeyboardInterrupt

    if where == "write":
        monkeypatch.setattr("pathlib.Path.open", _opens_and_crashes)
    else:
        monkeypatch.setattr(os, where, crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {"version": 2})
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ([path.name] if existed else [])
    if existed:
        assert path.read_bytes() == before
        assert checkpoint.load(path) == {"version": 1}


def _opens_and_crashes(self, mode):
    file = open(self, mode)  # noqa: SIM115

    class Half:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            file.close()

        def write(self, data):
            file.write(data[: len(data) // 2])
            raise KeyboardInterrupt

    return Half()


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.save(tmp_path / "none" / "a.safetensors", {})
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "a.safetensors")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, STATE)
    return path


@pytest.mark.parametrize("keep", [0, 5, 8, 60, -1, -9])
def test_truncated(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[:keep])
    with pytest.raises(ValueError, match=r"a\.safetensors: not a safetensors file"):
        checkpoint.load(saved)


def test_every_flipped_byte_is_noticed(saved):
    data = saved.read_bytes()
    original = bits(checkpoint.load(saved))
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 0x10
        saved.write_bytes(broken)
        try:
            got = checkpoint.load(saved)
        except ValueError as error:
            message = str(error)
        else:  # a byte of padding, or of the header's layout that means the same
            assert bits(got) == original
            continue
        assert "a.safetensors" in message


def test_foreign_files(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ValueError, match="not a safetensors file"):
        checkpoint.load(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="not a checkpoint: wanted the format 'tinydl checkpoint 1', found None"):
        checkpoint.load(path)


def test_a_header_that_lies(tmp_path):
    path = tmp_path / "a.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ValueError, match="not a safetensors file"):
        checkpoint.load(path)
