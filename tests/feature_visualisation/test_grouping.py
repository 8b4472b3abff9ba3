"""Groups of channels: found where they were put, and drawn; icons for places of a photograph."""

import pytest
import torch
from dreaming_nets import noise_photo, small

import pellucid
from pellucid.errors import BadOption
from pellucid.feature_visualisation.drawing import as_sheet
from pellucid.feature_visualisation.factorisation import channel_groups
from pellucid.feature_visualisation.objectives import along_each
from pellucid.feature_visualisation.recipes.neuron_groups import COLOURS, coloured
from pellucid.pictures import prepare

QUICK = {"steps": 2, "transform": "none"}


@pytest.fixture
def photo(tmp_path):
    return noise_photo(tmp_path, 24, 36, 1)


def test_groups_are_found_where_they_were_put():
    directions = torch.tensor([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, -3.0, 1.0]])  # the second is negative in a channel
    where = torch.zeros(2, 4, 4)
    where[0, :2], where[1, 2:] = 1.0, 2.0
    found, along = channel_groups(torch.einsum("kc,khw->chw", directions, where), 2)
    torch.testing.assert_close(along, torch.nn.functional.normalize(directions, dim=1).flip(0), atol=1e-3, rtol=0)
    strengths = where * directions.norm(dim=1)[:, None, None]
    torch.testing.assert_close(found, strengths.flip(0), atol=1e-2, rtol=1e-2)  # the strongest group first


def test_groups_add_up_to_the_layer():
    maps = torch.rand(5, 6, 6, generator=torch.Generator().manual_seed(0)) - 0.3
    errors = []
    for count in (1, 3, 5):
        where, along = channel_groups(maps, count)
        errors.append((torch.einsum("khw,kc->chw", where, along) - maps).norm() / maps.norm())
        assert (where >= 0).all()
    assert errors[0] > errors[1] > errors[2]
    for count in (0, 6):
        with pytest.raises(BadOption, match="Expected 1 to 5 groups"):
            channel_groups(maps, count)
    with pytest.raises(BadOption, match="nothing but zeros"):
        channel_groups(torch.zeros(5, 6, 6), 2)


def maps_of_photo(photo):
    model = small()
    tensor = prepare(photo, model.preprocess).tensor[None]
    with torch.no_grad():
        return model.module.conv1(tensor)[0], model


def test_a_grid_has_an_icon_for_each_place(photo):
    maps, model = maps_of_photo(photo)
    made = pellucid.dream(model, recipe="activation-grid", layer="conv2", start=photo, most=3, **QUICK)
    assert len(made.pictures) == 9
    assert made.titles[:2] == ("row 1, column 1", "row 1, column 4")
    assert "every 3" in made.notes[-1]
    sheet = as_sheet(made)
    assert sheet.width > 3 * sheet.height / 2, "the photograph, and the icons in one picture beside it"
    one = pellucid.dream(model, f'spot("conv1", {photo!r}, 2, 5, power=2)', **{**QUICK, "steps": 0})
    with torch.no_grad():
        own = model.module.conv1((one.pictures - 0.5) / 0.25)
    expected = along_each(own, maps[None, :, 2, 5], 2.0).mean((1, 2))
    torch.testing.assert_close(one.final, expected, atol=1e-4, rtol=1e-4)


def test_places_of_a_photograph_are_those_at_the_networks_own_size(photo):
    maps, model = maps_of_photo(photo)
    text = f'spot("conv1", {photo!r}, 15, 15, size=(16, 16))'  # there is no such place in a picture of 8 x 8
    small_one = pellucid.dream(model, text, size=8, steps=0)
    with torch.no_grad():
        own = model.module.conv1((small_one.pictures - 0.5) / 0.25)
    torch.testing.assert_close(
        small_one.final, along_each(own, maps[None, :, 15, 15], 1.0).mean((1, 2)), atol=1e-4, rtol=1e-4
    )
    with pytest.raises(BadOption, match="outside of 8 rows"):
        pellucid.dream(model, f'spot("conv1", {photo!r}, 15, 15)', size=8, steps=0)


def test_groups_of_a_photograph_are_drawn_and_coloured(photo):
    maps, model = maps_of_photo(photo)
    made = pellucid.dream(model, recipe="neuron-groups", layer="conv1", start=photo, groups=2, **QUICK)
    assert [title.split(":")[0] for title in made.titles] == ["red", "green"]
    assert [title for _, title in made.beside] == ["the photograph", "conv1"]
    again = pellucid.dream(model, f'group("conv1", {photo!r}, 1, 2)', steps=0)
    with torch.no_grad():
        own = model.module.conv1((again.pictures - 0.5) / 0.25)
    direction = channel_groups(maps, 2)[1][1:]
    torch.testing.assert_close(again.final, along_each(own, direction, 1.0).mean((1, 2)), atol=1e-4, rtol=1e-3)
    where = torch.zeros(2, 4, 4)
    where[0, :2], where[1, 2:] = 1.0, 1.0
    drawn = coloured(torch.zeros(3, 4, 4), where)
    red, green = (torch.tensor(COLOURS[name]) for name in ("red", "green"))
    torch.testing.assert_close(drawn[:, 0, 0], 0.75 * red)
    torch.testing.assert_close(drawn[:, 3, 0], 0.75 * green)
    for wishes, words in (({"groups": 9}, "1 to 8 groups"), ({"groups": 7}, "Expected 1 to 6 groups")):
        with pytest.raises(BadOption, match=words):
            pellucid.dream(model, recipe="neuron-groups", layer="conv1", start=photo, **wishes)
    with pytest.raises(BadOption, match="groups run from 0 to 1"):
        pellucid.dream(model, f'group("conv1", {photo!r}, 2, 2)', steps=0)
