"""Random numbers by seed and sample number, and by nothing else."""

import pytest
import torch

from pellucid.capture.running import Draws

LIKE = torch.zeros(4, 3, 8, 8)


def normal(seed, numbers, like=LIKE):
    numbers = torch.tensor(numbers)
    return Draws(seed).normal(numbers, like[:1].expand(len(numbers), -1, -1, -1))


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_order_and_packing_do_not_matter(kind):
    draw = getattr(Draws(5), kind)
    together = draw(torch.tensor([0, 1, 2, 1]), LIKE)
    for k, n in enumerate([0, 1, 2, 1]):
        assert torch.equal(draw(torch.tensor([n]), LIKE[:1])[0], together[k])
    assert torch.equal(together[1], together[3])


def test_all_numbers_and_seeds_differ():
    rows = torch.cat([normal(seed, list(range(20))) for seed in (-1, 0, 1, 2, 1000)]).flatten(1)
    assert len(torch.unique(rows, dim=0)) == 100
    # neighbouring draws must not be copies moved along either
    assert float(torch.corrcoef(rows).fill_diagonal_(0).abs().max()) < 0.4


@pytest.mark.parametrize("seed", [2**32, 2**40])
def test_all_digits_of_a_seed_count(seed):
    assert not torch.equal(normal(seed, [0]), normal(0, [0]))


@pytest.mark.parametrize("seed", [-(2**70), 2**70])
def test_any_integer_is_a_seed(seed):
    assert normal(seed, [0]).isfinite().all()


def test_distributions():
    like = torch.zeros(1, 1, 100, 100)
    drawn = normal(0, [0], like)
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05
    even = Draws(0).uniform(torch.tensor([0]), like)
    assert 0 <= float(even.min()) < 0.01 < 0.99 < float(even.max()) < 1


def test_type_of_the_picture_is_kept_and_global_state_is_not_touched():
    before = torch.get_rng_state()
    assert normal(0, [0], LIKE.double()).dtype == torch.float64
    assert torch.equal(torch.get_rng_state(), before)
