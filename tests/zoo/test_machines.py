"""The classical machines: each learns what its theorem says, and no more."""

import itertools

import pytest
import torch

from pellucid import zoo
from pellucid.errors import BadOption, UnknownName


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_perceptron_makes_no_more_corrections_than_the_theorem_allows():
    patterns = draws(60, 2)
    side = patterns @ torch.tensor([0.8, -0.6], dtype=torch.float64)
    patterns = patterns[side.abs() > 0.2]
    side = side[side.abs() > 0.2]
    machine = zoo.Perceptron(2).double()
    mistakes = machine.learn(patterns, (side >= 0).double()[:, None], passes=1000)
    extended = torch.cat([patterns, torch.ones(len(patterns), 1)], 1)
    assert mistakes[-1] == 0
    assert sum(mistakes) <= extended.square().sum(1).max() / 0.2**2
    assert torch.equal(machine(patterns)[:, 0], (side >= 0).double())


def test_perceptron_cannot_learn_exclusive_or():
    patterns = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    machine = zoo.Perceptron(2)
    assert min(machine.learn(patterns, torch.tensor([[0.0], [1], [1], [0]]), passes=200)) > 0
    with pytest.raises(BadOption, match="0 and 1"):
        machine.learn(patterns, torch.tensor([[-1.0], [1], [1], [-1]]))


def test_adaline_finds_the_least_squares_line_below_the_bound_and_diverges_above():
    patterns, noise = draws(200, 3), draws(200, 1, seed=1)
    targets = patterns @ torch.tensor([[1.0], [-2], [0.5]], dtype=torch.float64) + 0.3 + 0.1 * noise
    machine = zoo.Adaline(3).double()
    machine.learn(patterns, targets, passes=500)
    extended = torch.cat([patterns, torch.ones(200, 1)], 1)
    solved = torch.linalg.lstsq(extended, targets).solution
    torch.testing.assert_close(machine.weight[0], solved[:3, 0])
    torch.testing.assert_close(machine.bias, solved[3])
    bound = zoo.Adaline.rate_bound(patterns)
    calm = zoo.Adaline(3).double().learn(patterns, targets, rate=0.99 * bound, passes=300)
    wild = zoo.Adaline(3).double().learn(patterns, targets, rate=1.05 * bound, passes=300)
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(calm))
    assert wild[-1] > 1e6 * wild[0]
    with pytest.raises(BadOption, match="above 0"):
        machine.learn(patterns, targets, rate=0.0)


@pytest.mark.parametrize("transfer", ["log-sigmoid", "tan-sigmoid"])
def test_back_propagation_by_hand_equals_autograd(transfer):
    machine = zoo.MultilayerPerceptron((4, 6, 5, 2), transfer).double()
    patterns, targets = draws(7, 4), draws(7, 2, seed=1)
    ours = machine.back_propagate(patterns, targets)
    loss = (machine(patterns) - targets).square().sum(1).mean()
    theirs = torch.autograd.grad(loss, list(machine.parameters()))
    for mine, reference in zip([g for pair in ours for g in pair], theirs, strict=True):
        torch.testing.assert_close(mine, reference)


def test_multilayer_perceptron_learns_exclusive_or_by_its_own_gradients():
    torch.manual_seed(0)
    machine = zoo.MultilayerPerceptron((2, 4, 1)).double()
    patterns = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]], dtype=torch.float64)
    targets = torch.tensor([[0.0], [1], [1], [0]], dtype=torch.float64)
    for _ in range(2000):
        with torch.no_grad():
            gradients = machine.back_propagate(patterns, targets)
            for layer, (weight, bias) in zip(machine.layers, gradients, strict=True):
                layer.weight -= 0.1 * weight
                layer.bias -= 0.1 * bias
    assert ((machine(patterns) > 0.5) == (targets > 0.5)).all()
    with pytest.raises(UnknownName, match="transfer"):
        zoo.MultilayerPerceptron((2, 1), "tanh")
    with pytest.raises(BadOption, match="at least"):
        zoo.MultilayerPerceptron((2,))


def test_radial_basis_with_a_centre_per_pattern_passes_through_every_target():
    patterns, targets = draws(12, 2), draws(12, 1, seed=1)
    machine = zoo.RadialBasis(2, 12).double()
    assert machine.learn(patterns, targets) < 1e-10
    fewer = zoo.RadialBasis(2, 4).double()
    error = fewer.learn(patterns, targets)
    bumps = torch.cat([fewer.bumps(patterns).detach(), torch.ones(12, 1)], 1)
    best = bumps @ torch.linalg.pinv(bumps) @ targets
    assert error == pytest.approx(float((best - targets).square().mean()))
    with pytest.raises(BadOption, match="at least 4"):
        fewer.learn(patterns[:3], targets[:3])


def test_hopfield_recalls_a_damaged_pattern_and_never_climbs():
    patterns = draws(3, 80).sign()
    machine = zoo.Hopfield(80).double()
    machine.store(patterns)
    damaged = patterns.clone()
    damaged[:, :12] *= -1
    assert torch.equal(machine(damaged), patterns)
    states = [damaged]
    for seed in range(5):
        states.append(zoo.Hopfield.forward(_one_sweep(machine, seed), states[-1]))
    energies = torch.stack([machine.energy(s) for s in states])
    assert (energies.diff(dim=0) <= 1e-9).all()
    with pytest.raises(BadOption, match="-1 and 1"):
        machine.store(torch.zeros(1, 80, dtype=torch.float64))


def _one_sweep(machine, seed):
    other = zoo.Hopfield(len(machine.weight), sweeps=1, seed=seed).double()
    other.weight.copy_(machine.weight)
    return other


def test_boltzmann_free_energy_sums_out_the_hidden_units():
    machine = zoo.RestrictedBoltzmann(5, 3).double()
    machine.weight.copy_(draws(5, 3))
    machine.hidden_bias.copy_(draws(3, seed=2))
    machine.visible_bias.copy_(draws(5, seed=3))
    visible = (draws(4, 5, seed=4) > 0).double()
    hidden = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)
    joint = (
        visible @ machine.weight @ hidden.T + (visible @ machine.visible_bias)[:, None] + hidden @ machine.hidden_bias
    )
    torch.testing.assert_close(-machine.free_energy(visible), joint.logsumexp(1))
    torch.testing.assert_close(machine(visible), joint.softmax(1) @ hidden)


def test_boltzmann_prefers_what_it_was_shown():
    bars = torch.zeros(4, 16)
    for k in range(4):
        bars[k].view(4, 4)[k] = 1
    machine = zoo.RestrictedBoltzmann(16, 12)
    errors = machine.learn(bars.repeat(10, 1), passes=300, rate=0.2)
    assert errors[-1] < errors[0] / 3
    noise = (draws(200, 16, seed=9) > 0).float()
    assert machine.free_energy(bars).max() < machine.free_energy(noise).mean()
    again = zoo.RestrictedBoltzmann(16, 12).learn(bars.repeat(10, 1), passes=300, rate=0.2)
    assert again == errors


def test_kohonen_unfolds_over_a_square():
    patterns = torch.rand(500, 2, generator=torch.Generator().manual_seed(0))
    machine = zoo.Kohonen(2, 6, 6)
    errors = machine.learn(patterns, passes=8)
    assert errors[-1] < 0.12  # a perfect 6 x 6 tiling of the unit square has mean distance 0.064
    sheet = machine.prototypes.view(6, 6, 2)
    sideways = sheet.diff(dim=1).norm(dim=2).mean()
    apart = torch.cdist(machine.prototypes, machine.prototypes).mean()
    assert sideways < apart / 2, "neighbours on the sheet are neighbours in the data"
    rows, columns = machine.winners(patterns).T
    assert machine(patterns)[range(500), rows, columns].equal(machine(patterns).flatten(1).amin(1))
