"""IDX files: every element type, and every way in which a file can be wrong."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydl.vision.datasets import read_idx

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def encode(array, code=None, ndim=None, shape=None):
    shape = array.shape if shape is None else shape
    code = CODES[array.dtype.str[1:]] if code is None else code
    header = bytes([0, 0, code, len(shape) if ndim is None else ndim]) + struct.pack(f">{len(shape)}I", *shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = encode(IMAGES)


def write(tmp_path, content, name="data.idx"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (0, 4), (2, 3, 5, 7)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_round_trip(tmp_path, rng, kind, shape, pack):
    array = (rng.standard_normal(shape) * 100).astype(kind)
    got = read_idx(write(tmp_path, pack(encode(array))))
    assert got.dtype == array.dtype
    assert got.dtype.isnative
    assert got.shape == shape
    assert np.array_equal(got, array)
    assert got.flags.writeable


BAD = {
    "empty": (b"", "two zero bytes"),
    "short magic": (b"\0\0\x08", "two zero bytes"),
    "no idx": (b"PNG....", "two zero bytes.*50 4e 47 2e"),
    "a web page": (b"<!DOCTYPE html>", "two zero bytes"),
    "unknown type": (encode(IMAGES, code=0x0A), "element type 0x0a is unknown, wanted one of 0x08, 0x09"),
    "no axes": (b"\0\0\x08\0", "found 0 axes"),
    "too many axes": (encode(IMAGES, ndim=200), "found 200 axes"),
    "header cut": (GOOD[:10], "the header ends after 10 bytes, 3 axes need 16"),
    "data cut": (GOOD[:-1], r"shape \(2, 3, 4\) of uint8 needs 24 bytes of data, found only 23"),
    "no data": (GOOD[:16], "needs 24 bytes of data, found only 0"),
    "too much data": (GOOD + b"x", "needs 24 bytes of data, found more"),
    "huge sizes": (encode(IMAGES, shape=(2**32 - 1,) * 3), "at most 2147483648 are accepted"),
    "large sizes": (encode(IMAGES, shape=(2**31 - 1,)), "needs 2147483647 bytes of data, found only 24"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damaged_files(tmp_path, case, pack):
    content, message = BAD[case]
    with pytest.raises(ValueError, match=rf"data\.idx: .*{message}"):
        read_idx(write(tmp_path, pack(content)))


@pytest.mark.parametrize("length", [2, 3, 9, 10, 15, -9, -8, -4, -1])
def test_truncated_gzip(tmp_path, length):
    path = write(tmp_path, gzip.compress(GOOD)[:length])
    with pytest.raises(ValueError, match=r"data\.idx: .*truncated or damaged"):
        read_idx(path)


def test_flipped_bits_in_gzip(tmp_path):
    good = gzip.compress(GOOD)
    for at in range(2, len(good)):
        for bit in (1, 128):
            content = bytearray(good)
            content[at] ^= bit
            try:
                got = read_idx(write(tmp_path, bytes(content)))
            except ValueError as error:
                assert "data.idx" in str(error)  # noqa: PT017
            else:
                assert np.array_equal(got, IMAGES)  # the bit was in the header's time stamp, say


@given(content=st.binary(max_size=60), pack=st.booleans())
def test_no_bytes_crash_it(tmp_path_factory, content, pack):
    path = write(tmp_path_factory.getbasetemp(), gzip.compress(content) if pack else content)
    try:
        read_idx(path, max_bytes=1000)
    except ValueError as error:
        assert "data.idx" in str(error)  # noqa: PT017


def test_a_compressed_bomb_is_not_unpacked(tmp_path):
    content = encode(np.zeros(5_000_000, np.uint8), shape=(10,))
    with pytest.raises(ValueError, match="needs 10 bytes of data, found more"):
        read_idx(write(tmp_path, gzip.compress(content)))
    with pytest.raises(ValueError, match="at most 100 are accepted"):
        read_idx(write(tmp_path, encode(np.zeros(101, np.uint8))), max_bytes=100)


def test_unreadable(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.idx"):
        read_idx(tmp_path / "nothing.idx")
    with pytest.raises(OSError, match=str(tmp_path)):
        read_idx(tmp_path)
