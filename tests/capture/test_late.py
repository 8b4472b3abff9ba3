"""Starting late: `Probe.late` against the whole network with one channel silenced by hand."""

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.probe import Probe
from pellucid.capture.running import Budget, guarded
from pellucid.contracts import Grid, Site
from pellucid.errors import BadSite
from pellucid.targets import Logit


def silence(rows, samples, numbers):
    for row, number in zip(rows, numbers.tolist(), strict=True):
        if number:
            row[number - 1] = 0
    return rows


def late(net, image, layer, count, chunk=None, target=(1,), change=silence, meter=None):
    model = pellucid.wrap(net)
    with guarded(model.module):
        probe = Probe(
            model, image, Logit(target), Site.parse(layer), Budget(image.device, chunk), meter or ProgressMeter()
        )
        return probe.late(count, change)


def by_hand(net, image, layer, count, grid=None, target=(1,)):
    """One full forward pass per picture and variant."""
    scores = torch.empty(len(image), count, dtype=image.dtype)
    part = net.get_submodule(layer)
    for k in range(count):

        def hook(module, args, out, k=k):
            if k == 0:
                return None
            maps = (grid.to_maps(out) if grid else out).clone()
            maps[:, k - 1] = 0
            return grid.from_maps(maps, out) if grid else maps

        handle = part.register_forward_hook(hook)
        with torch.no_grad():
            out = net(image)
        handle.remove()
        scores[:, k] = out.gather(1, torch.tensor(target).expand(len(image))[:, None])[:, 0]
    return scores


NETS = {  # network, layer, grid
    "plain": (tiny.Pooled, "features.4", None),
    "pooling behind": (tiny.Pooled, "features.2", None),
    "added": (tiny.AddAfter, "conv2", None),
    "concatenated": (tiny.Joined, "conv2", None),
    "batch size kept": (tiny.KeepsBatch, "conv2", None),
    "tokens": (tiny.Tokens, "blocks.0", Grid("tokens", (4, 4), 2)),
    "tokens, residual": (tiny.Tokens, "blocks.0.proj", Grid("tokens", (4, 4), 2)),
    "channels last": (tiny.ChannelsLast, "mix", Grid("channels-last", (4, 4))),
}


@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("name", NETS)
def test_same_as_the_whole_network(name, chunk):
    make, layer, grid = NETS[name]
    net, image = tiny.build(make), tiny.images()
    expected = by_hand(net, image, layer, 6, grid, (4, 0))
    answers = late(net, image, layer, 6, chunk, (4, 0))
    torch.testing.assert_close(answers.score, expected)
    assert expected.std(1).min() > 1e-4
    assert answers.top.shape == (2, 6)


def test_the_front_is_run_once_per_chunk_only():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)
    rows = []
    net.features[0].register_forward_hook(lambda module, args, out: rows.append(len(out)))
    late(net, image, "features.4", 9, chunk=3)
    assert set(rows[3:]) == {1}
    # three to try how rows are taken, one to read, score and measure, one to follow where values are, one a chunk
    assert len(rows) <= 3 + 1 + 1 + 3


def test_front_is_repeated_where_the_batch_size_is_kept():
    net, image = tiny.build(tiny.KeepsBatch), tiny.images(1)
    rows = []
    net.conv1.register_forward_hook(lambda module, args, out: rows.append(len(out)))
    late(net, image, "conv2", 9)
    assert max(rows) == 10


class MixesBatch(tiny.Skip):
    def forward(self, x):
        y = self.conv2(self.act(self.conv1(x)))
        return self.fc((y - y.mean(0)).relu().mean((2, 3)))


class MixesFaintly(tiny.Skip):
    def forward(self, x):
        y = self.conv2(self.act(self.conv1(x)))
        return self.fc((y - 0.5 * y.mean(0)).relu().mean((2, 3))) * 1e-5


@pytest.mark.parametrize("network", [MixesBatch, MixesFaintly])
def test_rows_that_influence_each_other_are_scored_one_by_one(network):
    net, image = tiny.build(network), tiny.images()
    expected = torch.cat([by_hand(net, image[k : k + 1], "conv2", 9) for k in range(2)])
    torch.testing.assert_close(late(net, image, "conv2", 9).score, expected, rtol=1e-9, atol=0)


class Asserts(tiny.KeepsBatch):
    def forward(self, x):
        y = self.conv2(self.act(self.conv1(x)))
        assert len(y) == len(x)
        return self.fc(y.relu().mean((2, 3)))


def test_network_that_asserts_its_batch_size():
    net, image = tiny.build(Asserts), tiny.images()
    torch.testing.assert_close(
        late(net, image, "conv2", 8).score, by_hand(tiny.build(tiny.KeepsBatch), image, "conv2", 8)
    )


def test_layer_that_returns_its_own_input_changes_for_all_who_hold_it():
    # the gradient at such a layer counts both; see test_tape
    net, image = tiny.build(tiny.InPlaceSkip), tiny.images()
    a = net.conv1(image).relu().detach()
    expected = []
    for k in range(9):
        b = a.clone()
        if k:
            b[:, k - 1] = 0
        expected.append(net.fc((b + net.conv2(b)).mean((2, 3)))[:, 1].detach())
    torch.testing.assert_close(late(net, image, "act", 9).score, torch.stack(expected, 1))


def rows_seen(part, run):
    rows = []
    handle = part.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    run()
    handle.remove()
    return rows


def test_an_in_place_layer_that_no_one_else_holds_starts_late():
    net, image = tiny.build(tiny.Pooled), tiny.images(1)  # features.5 is a ReLU in place
    got = []
    seen = rows_seen(net.features[0], lambda: got.append(late(net, image, "features.5", 9)))
    assert set(seen[3:]) == {1}  # behind the trial of how rows are taken
    torch.testing.assert_close(got[0].score, by_hand(net, image, "features.5", 9))


def test_an_in_place_layer_on_a_buffer_of_the_model_does_not_spoil_it():
    class Constant(tiny.Plain):
        def __init__(self):
            super().__init__()
            self.register_buffer("maps", torch.rand(1, 8, 4, 4))
            self.act3 = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.fc(self.features(x).mean((2, 3)) + self.act3(self.maps).mean((2, 3)))

    net, image = tiny.build(Constant), tiny.images(1)
    before = net.maps.clone()
    with pytest.raises(BadSite, match="'act3#4x4' hands on a tensor that belongs to the model"):
        late(net, image, "act3#4x4", 3)  # a constant has no places, so its grid must be named
    assert torch.equal(net.maps, before)


def test_without_a_late_start_no_more_rows_run_at_once_than_of_the_whole_network():
    net, image = tiny.build(tiny.InPlaceSkip), tiny.images(1)
    model, site = pellucid.wrap(net), Site("act")
    with guarded(net):
        probe = Probe(model, image, Logit((1,)), site, Budget(image.device, 4), ProgressMeter())
        probe.budget.chunks = lambda total, bytes_per_row, run, most=None: iter([run(0, total)])
        seen = rows_seen(net.fc, lambda: probe.late(9, silence))
    assert max(seen) == 10  # tried late, which the skip forbids
    assert max(rows_seen(net.conv1, lambda: late(net, image, "act", 9, chunk=4))) <= 5


def test_change_may_return_new_rows():
    net, image = tiny.build(tiny.Pooled), tiny.images()
    doubled = late(net, image, "features.4", 3, change=lambda rows, _, numbers: rows * numbers[:, None, None, None])
    tripled = late(net, image, "features.4", 4, change=lambda rows, _, numbers: rows * numbers[:, None, None, None])
    torch.testing.assert_close(doubled.score, tripled.score[:, :3])


def test_meter_counts_samples_and_reports_the_end():
    seen = []
    meter = ProgressMeter(lambda label, done, total: seen.append((done, total)))
    late(tiny.build(tiny.Pooled), tiny.images(), "features.4", 9, chunk=4, meter=meter)
    assert seen[-1] == (18, 18)
    assert seen == sorted(seen)
    assert meter.forward >= 18


def test_half_precision():
    net, image = tiny.build(tiny.Pooled, dtype=torch.bfloat16), tiny.images(dtype=torch.bfloat16)
    found = late(net, image.float(), "features.4", 9).score
    expected = late(tiny.build(tiny.Pooled), tiny.images(), "features.4", 9).score
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0.05, atol=0.02)


def test_it_works_on_a_layer_called_twice():
    net, image = tiny.build(tiny.Reused), tiny.images()
    first = net.act(net.conv1(image)).detach()
    second = net.act(net.conv2(first)).detach()
    second[:, 2] = 0
    expected = net.fc(second.mean((2, 3)))[:, 1].detach()
    torch.testing.assert_close(late(net, image, "act:1", 4).score[:, 3], expected)


def test_probe_without_a_layer():
    model = pellucid.wrap(tiny.build(nn.Identity))
    probe = Probe(model, tiny.images(), Logit((0,)), None, Budget(torch.device("cpu")))
    with pytest.raises(RuntimeError, match="names neither"):
        probe.late(2, silence)
