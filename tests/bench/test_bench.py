"""The benchmark's own logic: what it computes from timings, writes, compares, and asks of other processes."""

import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from bench import harness, quick
from bench.__main__ import QUICK_SECONDS, main, plan_of, rows_of
from bench.choice import Choice, Part
from bench.harness import Bound, Later, Plan, Result, Row, Timing, close, format_row, measure
from bench.machine import FMA_LOAD, TILE_PRODUCT, Limit
from bench.peers.remote import Remote, digest, has, versions
from bench.report import COLUMN, compare, draw, plot


def result(seconds=2e-3, peers=(1e-3, 4e-3), flops=4e9, limit_rate=4e12):
    timings = {name: Timing(each, 0.1) for name, each in zip(("slow", "slower"), peers, strict=False)}
    ratios = {name: timing.median / seconds for name, timing in timings.items()}
    return Result(Row("a row", lambda: None, flops=flops), Timing(seconds, 0.05), timings, ratios, limit_rate)


def test_rates_shares_and_ratios():
    r = result()
    assert (r.rate, r.share, r.best) == (2e12, 0.5, 0.5)
    line = format_row(r)
    for part in ("a row", "2000.00 us", "2000.0 GFLOP/s", "50%", "slow 1000.0 us 0.50 x", "slower 4000.0 us 2.00 x"):
        assert part in line
    assert result(peers=()).best is None
    assert result(limit_rate=None).share is None


def test_spread_is_half_the_distance_of_the_quartiles():
    timing = Timing.of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    assert timing.median == 4
    assert timing.spread == pytest.approx((6 - 2) / 2 / 4)


def test_every_contender_is_timed_as_often(monkeypatch):
    monkeypatch.setattr(harness, "settle", lambda call, wait, warm=True: call())
    calls = {"ours": 0, "peer": 0}

    def count(who):
        calls[who] += 1
        return 1.0

    row = Row("both", lambda: count("ours"), {"peer": lambda: count("peer")}, check=close)
    r = measure(row, Plan(rounds=3, seconds=1e-4))
    assert min(calls.values()) > 3
    assert r.ratios.keys() == r.peers.keys() == {"peer"}
    assert r.ours.median > 0
    assert r.limit_rate is None


def test_the_rounds_that_a_budget_holds():
    plan = Plan(rounds=15, budget=10.0)
    assert plan.rounds_of([0.02, 0.02]) == 15
    assert plan.rounds_of([0.5, 0.4]) == 10  # long calls need no warm-up: a second a round, with two waits
    assert plan.rounds_of([5.0, 5.0]) == 3
    assert Plan(rounds=2, budget=0.0).rounds_of([0.02]) == 2


def test_quick_is_brief_and_briefer_when_it_is_late():
    assert plan_of(False, None, 1e6) == Plan(15, slow_peers=True)
    assert plan_of(False, 4, 1e6).rounds == 4
    assert plan_of(True, None, 0.0).rounds == 5
    assert plan_of(True, 9, 0.0).rounds == 9
    assert plan_of(True, 9, QUICK_SECONDS + 1).rounds == 2
    assert not plan_of(True, None, 0.0).slow_peers


def test_slow_peers_are_made_only_on_demand_and_left_out_where_they_fail(monkeypatch, capsys):
    monkeypatch.setattr(harness, "settle", lambda call, wait, warm=True: call())

    def fails():
        raise RuntimeError("no compiler\nand much more")

    row = Row("a row", lambda: 1.0, check=close, slow_peers={"compiled": lambda: lambda: 1.0, "broken": fails})
    assert measure(row, Plan(2, 1e-5)).peers.keys() == {"compiled"}
    assert capsys.readouterr().out == "a row: broken is left out: no compiler\n"
    assert measure(row, Plan(2, 1e-5, slow_peers=False)).peers == {}
    wrong = Row("a row", lambda: 1.0, check=close, slow_peers={"compiled": lambda: lambda: 2.0})
    with pytest.raises(AssertionError, match="results differ"):
        measure(wrong, Plan(2, 1e-5))


def test_rows_that_quick_leaves_out_are_not_made(monkeypatch):
    def refuse():
        raise AssertionError("made")

    made = Row("add 5", lambda: None)
    module = type(harness)("bench.fake")
    module.rows = lambda: iter([Later("AlexNet", refuse), Later("add 5", lambda: made), Row("sub 5", lambda: None)])
    monkeypatch.setitem(sys.modules, "bench.fake", module)
    monkeypatch.setitem(quick.ROWS, "fake", "add .*")
    assert list(rows_of(("fake", "index"), quick=True)) == [made]
    assert list(rows_of(("fake",), quick=True)) == [made]
    with pytest.raises(AssertionError, match="made"):
        list(rows_of(("fake",), quick=False))


def test_results_that_differ_are_not_timed():
    with pytest.raises(AssertionError, match="results differ"):
        measure(Row("wrong", lambda: 1.0, {"peer": lambda: 1.1}, check=close))
    with pytest.raises(AssertionError, match="results differ"):
        close(np.ones(2), np.ones((2, 1)))


def test_the_limit_of_a_row():
    def bound(**work):
        return Row("a row", lambda: None, **work).bound(Choice())

    assert bound(flops=1.0).parts == ((1.0, FMA_LOAD),)
    assert bound(bytes=1 << 20) is None
    for moved in (1 << 25, 3 << 25, 1 << 30):
        ((work, limit),) = bound(bytes=moved).parts
        assert (work, limit.unit) == (1.0, "B")
        assert limit.call() == min(moved, 1 << 28)
    assert bound(bytes=1 << 28, bounded=False) is None


def test_the_limit_of_products_on_tiles_counts_each_of_their_products():
    bound = Bound.of_products((Part("tiles x6", 0.75, 6), Part("fma", 0.25)))
    assert bound.parts == ((0.25, FMA_LOAD), (4.5, TILE_PRODUCT))
    fixed = [Limit("fixed", "FLOP", lambda: 1.0), Limit("fixed", "FLOP", lambda: 1.0)]
    for limit, rate in zip(fixed, (1e9, 18e9), strict=True):
        object.__setattr__(limit, "rate", lambda seconds, samples, rate=rate: rate)
    assert Bound(((0.25, fixed[0]), (4.5, fixed[1]))).rate(1.0, 1) == pytest.approx(2e9)


def test_a_peer_in_another_process():
    assert has("json")
    assert not has("json", "no_such_module")
    assert versions("numpy", "no_such_module") == {"numpy": np.__version__, "no_such_module": ""}
    peer = Remote("tests.bench.echo", threads=1, start=np.array(5))
    assert peer() == 6
    assert 0 <= peer.seconds(3) < 10
    assert peer() == 10
    assert Remote("tests.bench.echo", threads=1, start=np.array(0), processors=np.array(1))() == 1
    peer.close()
    with pytest.raises((RuntimeError, BrokenPipeError)):
        peer()


def test_a_row_ends_the_processes_of_its_peers(monkeypatch):
    monkeypatch.setattr(harness, "settle", lambda call, wait, warm=True: None)
    peer = Remote("tests.bench.echo", threads=1, start=np.array(5))
    measure(Row("a row", lambda: 1.0, {"peer": peer}), Plan(rounds=2, seconds=1e-4))
    assert peer.process.poll() is not None


def test_a_result_elsewhere_is_compared_by_its_digest():
    assert digest(None) is None
    assert digest(np.float32(-3)) == -3
    array = np.array([[3.0, -4.0]])
    assert digest(array) == pytest.approx(np.sqrt(12.5))
    close(array, digest(array))
    with pytest.raises(AssertionError, match="differ"):
        close(array, digest(array) * 1.001)


def test_a_group_stands_for_its_families(monkeypatch):
    timed = []
    monkeypatch.setattr("bench.__main__.time_rows", lambda families, *_: timed.extend(families) or {})
    monkeypatch.setattr("bench.__main__.measure_limits", dict)
    assert CliRunner().invoke(main, ["sequences", "pool"]).exit_code == 0
    assert timed == ["recurrent", "attention", "sequence_models", "pool"]


def results(seconds, ratio):
    row = {"seconds": seconds, "ratios": {"torch": ratio}, "flops": 2e9, "bytes": 1e6}
    machine = {"tinydl": "1", "processor": "x", "limits": {"avx512: fma on registers": 1e11, "avx512: copy": 1e10}}
    return {"machine": machine, "rows": {"a": row, "alone": {**row, "ratios": {}}}}


def test_a_comparison_with_an_earlier_run():
    lines = compare(results(1e-3, 2.0), results(2e-3, 1.0)).splitlines()
    assert lines[0].startswith("changes")
    assert all("(-50%)" in line for line in lines[1:])
    assert any("2.00 x ->   1.00 x" in line for line in lines)
    assert any("1000.0 us -> 2000.0 us" in line for line in lines)
    assert compare({"rows": {}}, results(1.0, 1.0)) == "no row is in both runs"


def test_a_picture(tmp_path):
    plot(results(1e-3, 2.0), tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_the_parts_of_a_picture():
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    point = {"seconds": 1e-3, "peers": {"torch": 2e-3}}
    swept = {**results(1e-3, 2.0), "sweeps": {"batch": {"step": {"1": point, "4": point}}, "threads": {}}}
    swept["rows"] |= {f"row {i}": swept["rows"]["a"] for i in range(COLUMN)}
    figure = draw(swept)
    roofline, step, *bars = figure.get_axes()
    assert [line.get_label() for line in step.get_lines()] == ["tinydl", "torch"]
    assert [line.get_ydata().tolist() for line in step.get_lines()] == [[1, 1], [2, 2]]
    assert step.get_lines()[0].get_xdata().tolist() == [1, 4]
    assert [len(axes.patches) for axes in bars] == [COLUMN // 2 + 1, COLUMN // 2]
    assert len(roofline.collections[0].get_offsets()) == 2 + COLUMN
    pyplot.close(figure)


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "settle", lambda call, wait, warm=True: None)
    path = tmp_path / "out.json"
    shown = CliRunner().invoke(main, ["limits", "--rounds", "2", "--quick", "--json", str(path)])
    assert shown.exit_code == 0, shown.output
    written = json.loads(path.read_text())
    assert written["machine"]["limits"]
    assert all(rate > 0 for rate in written["machine"]["limits"].values())
    assert "limit: multiply-adds on registers" in written["rows"]
    assert written["sweeps"] == written["page faults"] == {}
    assert re.search(r"\n\d+ rows in \d+ s\n", shown.output)
    assert re.search(r"\n\d+ s altogether\n", shown.output)
    again = CliRunner().invoke(main, ["limits", "--rounds", "2", "--compare", str(path)])
    assert "changes since the earlier run" in again.output
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2
