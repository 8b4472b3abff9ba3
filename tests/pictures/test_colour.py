import numpy as np
import pytest
import torch

from pellucid.errors import BadOption, UnknownName
from pellucid.pictures import ColourScale, colour_table, scale
from pellucid.pictures.colour import ONE_SIDED, SIGNED


def test_one_sided_maps_run_from_zero():
    assert scale(torch.tensor([[1.0, 2.0]]), percentile=100) == ColourScale(0.0, 2.0, False, 100)


def test_signed_maps_are_symmetric():
    assert scale(torch.tensor([[-3.0, 2.0]]), percentile=100) == ColourScale(-3.0, 3.0, True, 100)
    assert scale(torch.tensor([[-3.0, -2.0]]), percentile=100) == ColourScale(-3.0, 3.0, True, 100)


def test_rounding_below_zero_is_not_a_sign():
    assert not scale(torch.tensor([[-1e-9, 1.0]])).signed
    assert scale(torch.tensor([[0.0, 1.0]]), signed=True).low == -1.0


@pytest.mark.parametrize(("signed", "note"), [(False, "no positive evidence"), (True, "no evidence")])
def test_a_map_without_evidence_says_so(signed, note):
    blank = scale(torch.zeros(3, 3), signed=signed)
    assert blank.blank and blank.low == blank.high == 0 and blank.note == note
    assert np.array_equal(blank.place(np.zeros((2, 2))), np.zeros((2, 2)))


def test_forced_one_sided_map_of_negatives_is_blank():
    assert scale(-torch.ones(2, 2), signed=False).blank


def test_the_percentile_clips_few_values_and_says_how_many():
    values = torch.arange(1000.0).reshape(20, 50)
    found = scale(values)
    assert found.high == 995
    assert found.clipped == 0.004 and found.percentile == 99.5


def test_few_hot_pixels_do_not_lift_the_noise():
    values = torch.full((100, 100), 1e-3)
    values[0, :3] = 1.0
    found = scale(values)
    assert found.high == 0.25 and found.place(np.array([1e-3]))[0] == pytest.approx(0.004)


def test_values_that_are_not_finite_are_counted_not_used():
    found = scale(torch.tensor([[float("nan"), float("inf"), 2.0, 1.0]]), percentile=100)
    assert found == ColourScale(0.0, 2.0, False, 100, 0.0, 2) and found.note == "2 values are not finite (green)"
    assert scale(torch.full((2, 2), float("nan"))).blank


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.int32])
def test_any_type_and_tiny_evidence(dtype):
    assert scale(torch.tensor([[1, 2]], dtype=dtype), percentile=100).high == 2
    assert scale(torch.tensor([[1e-300]], dtype=torch.float64)).high == 1e-300


def test_the_raw_values_are_left_alone():
    values = torch.randn(8, 8, requires_grad=True)
    before = values.detach().clone()
    scale(values)
    assert torch.equal(values, before)


def test_colour_tables():
    one_sided, signed = colour_table(ONE_SIDED), colour_table(SIGNED)
    assert one_sided.shape == (256, 4) and one_sided.dtype == np.uint8 and one_sided[0, :3].max() < 5
    luma = one_sided[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(luma) > -0.5).all()
    assert np.ptp(signed[128, :3].astype(int)) < 5  # neutral zero
    assert signed[0, 2] > signed[0, 0] and signed[255, 0] > signed[255, 2]  # blue against, red in favour


def test_refusals():
    with pytest.raises(UnknownName, match=r"no colour map 'infernoo'\. Did you mean .*inferno"):
        colour_table("infernoo")
    with pytest.raises(BadOption, match=r"percentile between 0 and 100, got 101"):
        scale(torch.ones(2, 2), percentile=101)
