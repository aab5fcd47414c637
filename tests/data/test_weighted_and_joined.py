"""Samplers with weights and of subsets, and joined data sets."""

import pytest

import tinydl
from tinydl.utils.data import ConcatDataset, DataLoader, SubsetRandomSampler, TensorDataset, WeightedRandomSampler


def test_weights_are_the_frequencies():
    sampler = WeightedRandomSampler([1.0, 0.0, 3.0], 8000, generator=tinydl.Generator(0))
    drawn = list(sampler)
    assert len(drawn) == len(sampler) == 8000
    assert drawn.count(1) == 0
    assert abs(drawn.count(2) / 8000 - 0.75) < 5 * (0.75 * 0.25 / 8000) ** 0.5
    assert sorted(WeightedRandomSampler([1, 2, 3], 3, replacement=False)) == [0, 1, 2]
    loader = DataLoader(TensorDataset(tinydl.arange(3)), batch_size=4, sampler=sampler)
    assert len(loader) == 2000
    assert next(iter(loader))[0].shape == (4,)


def test_wrong_weights():
    with pytest.raises(ValueError, match="num_samples must be a positive integer, got 0"):
        WeightedRandomSampler([1.0], 0)
    with pytest.raises(ValueError, match=r"weights of shape \(1, 2\), wanted a vector"):
        WeightedRandomSampler([[1.0, 2.0]], 1)


def test_a_subset_is_shuffled():
    sampler = SubsetRandomSampler(range(10, 40), seed=1)
    first, second = list(sampler), list(sampler)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(10, 40)) == list(sampler.indices)
    assert len(sampler) == 30


def test_joined_data_sets():
    a, b = TensorDataset(tinydl.arange(3)), TensorDataset(tinydl.arange(10, 12))
    both = ConcatDataset([a, b])
    assert [both[i][0].item() for i in range(5)] == [0, 1, 2, 10, 11]
    assert both[-1][0].item() == 11
    assert both.cumulative_sizes == [3, 5]
    assert [batch[0].tolist() for batch in DataLoader(both, batch_size=4)] == [[0, 1, 2, 10], [11]]
    for index in (5, -6):
        with pytest.raises(IndexError, match="out of range for 5 samples"):
            both[index]
    with pytest.raises(ValueError, match="got no data sets"):
        ConcatDataset([])


def test_a_loader_takes_what_scripts_set_for_processes():
    loader = DataLoader(TensorDataset(tinydl.arange(4)), batch_size=2, pin_memory=True, persistent_workers=False)
    assert [batch[0].tolist() for batch in loader] == [[0, 1], [2, 3]]
