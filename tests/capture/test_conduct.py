"""Channels last is used where it changes nothing but the speed."""

import pytest
import torch
from torch import nn

import pellucid
import tiny
from pellucid.capture.running import feed, guarded


def fed(net, image):
    with guarded(net):
        return feed(pellucid.wrap(net), image)


def test_convolutions_get_channels_last():
    image = tiny.images()
    given = fed(tiny.build(tiny.Pooled), image)
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(given, image)
    assert given.data_ptr() != image.data_ptr()


def test_others_get_what_they_had():
    assert fed(tiny.build(lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 5))), tiny.images()).is_contiguous()


class Views(tiny.Plain):
    """`view` cannot flatten channels last."""

    def forward(self, x):
        y = self.conv2(self.conv1(x).relu())
        return self.fc(y.view(len(y), -1).reshape(y.shape).mean((2, 3)))


class Strides(tiny.Plain):
    """Reads the memory itself, and so another picture when its order changes."""

    def forward(self, x):
        y = self.conv2(self.conv1(x).relu())
        return self.fc(torch.as_strided(y, y.shape, torch.empty(y.shape).stride())[:, :, :3, :5].mean((2, 3)))


class Insists(tiny.Plain):
    def forward(self, x):
        if not x.is_contiguous():
            raise TypeError("not like this")
        return super().forward(x)


class SaysNothing(tiny.Plain):
    def forward(self, x):
        return super().forward(x) * torch.nan


@pytest.mark.parametrize("network", [Views, Strides, Insists, SaysNothing])
def test_networks_that_look_at_strides_are_left_alone(network):
    net, image = tiny.build(network), tiny.images()
    assert fed(net, image).is_contiguous()
    if network is not SaysNothing:
        leaf = image.clone().requires_grad_()
        (expected,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
        torch.testing.assert_close(pellucid.explain(net, image, "saliency", 1)["saliency"].raw, expected)


def test_results_are_in_the_usual_order():
    for a in pellucid.explain(tiny.build(tiny.Pooled), tiny.images(), ["saliency", "grad-cam", "occlusion"]):
        assert a.raw.is_contiguous()
        assert a.values.is_contiguous()


def test_tried_once_per_model_and_shape():
    net, calls = tiny.build(tiny.Pooled), []
    net.register_forward_hook(lambda *_: calls.append(1))
    for size, expected in (((16, 16), 3), ((16, 16), 3), ((16, 24), 6), ((16, 16), 6)):
        fed(net, tiny.images(size=size))
        assert len(calls) == expected
