"""The emulated GPU itself: what it catches, and that correct kernels pass in every order of threads."""

import math

import pytest

emulated = pytest.importorskip("tinydl._cuda_emulated", reason="built with TINYDL_CUDA_EMULATE=ON only")

SCHEDULES = ["forward", "backward", "shuffled"]


@pytest.fixture
def schedule(request):
    emulated.set_schedule(request.param, 7)
    yield request.param
    emulated.set_schedule("varied")


def right(values):
    return values == [float(len(values) - i) for i in range(len(values))]


@pytest.mark.parametrize("schedule", SCHEDULES, indirect=True)
@pytest.mark.parametrize("name", emulated.mistakes())
def test_mended_kernels_pass(name, schedule):
    if name == "shuffle_by_all_lanes":  # the largest of each warp's mirror image, less the lane
        assert emulated.run_mistake(name, True) == [64.0 - i for i in range(32)] + [32.0 - i for i in range(32)]
    else:
        assert right(emulated.run_mistake(name, True))


@pytest.mark.parametrize("schedule", SCHEDULES, indirect=True)
@pytest.mark.parametrize("name", ["barrier_before_a_read", "barrier_before_a_write"])
def test_a_removed_barrier_is_caught(name, schedule):
    assert not right(emulated.run_mistake(name, False))


@pytest.mark.parametrize("schedule", ["forward", "backward"], indirect=True)
def test_a_warp_that_runs_ahead_is_caught(schedule):
    assert not right(emulated.run_mistake("barrier_between_warps", False))


@pytest.mark.parametrize("schedule", SCHEDULES, indirect=True)
@pytest.mark.parametrize("name", ["wait_for_a_copy", "clear_before_adding"])
def test_memory_holds_nan_until_it_is_written(name, schedule):
    assert all(math.isnan(v) for v in emulated.run_mistake(name, False))


@pytest.mark.parametrize("schedule", SCHEDULES, indirect=True)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("barrier_for_all", r"is at the barrier of line \d+ while others wait at that of line \d+"),
        ("shuffle_by_all_lanes", "waits for ever: some lanes never join its exchange"),
    ],
)
def test_what_would_hang_is_an_error(name, message, schedule):
    with pytest.raises(RuntimeError, match=rf"thread \(\d+, 0, 0\) of block \(0, 0, 0\) {message}"):
        emulated.run_mistake(name, False)
    assert len(emulated.run_mistake(name, True)) == 64  # and the next launch is none the worse


def test_unknown_schedules_are_refused():
    with pytest.raises(ValueError, match="got 'sideways', wanted 'forward', 'backward', 'shuffled' or 'varied'"):
        emulated.set_schedule("sideways")
