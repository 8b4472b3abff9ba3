"""Occlusion, Zeiler & Fergus, section 4.2."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import LinearScore, close, numbers, pooled_net, random_maps

import pellucid
from pellucid.errors import BadOption

IMAGE, CLASSES = random_maps(2, (2, 2, 7, 9)), [3, 0]


def run(net, target=CLASSES, image=IMAGE, chunk=None, **options):
    return pellucid.explain(net, image, "occlusion", target, options={"occlusion": options}, chunk=chunk)["occlusion"]


def naive(net, image, classes, window, stride, fill):
    """One forward pass per window and picture; a pixel gets the mean over the windows that were put on it."""
    _, _, rows, columns = image.shape
    tops, lefts = [0], [0]
    while tops[-1] + window < rows:
        tops.append(tops[-1] + stride)
    while lefts[-1] + window < columns:
        lefts.append(lefts[-1] + stride)
    raw = np.zeros((len(image), len(tops), len(lefts)))
    scores, tops_found = raw.copy(), np.zeros(raw.shape, dtype=int)
    total, count = np.zeros((len(image), rows, columns)), np.zeros((rows, columns))
    for n, c in enumerate(classes):
        with torch.no_grad():
            whole = float(net(image[n : n + 1])[0, c])
        for i, top in enumerate(tops):
            for j, left in enumerate(lefts):
                hidden = image[n : n + 1].clone()
                for y in range(top, min(top + window, rows)):
                    for x in range(left, min(left + window, columns)):
                        hidden[0, :, y, x] = image[n].flatten(1).mean(1) if fill == "mean" else fill
                with torch.no_grad():
                    answer = net(hidden)[0]
                raw[n, i, j] = whole - float(answer[c])
                scores[n, i, j], tops_found[n, i, j] = float(answer[c]), int(answer.argmax())
                for y in range(top, min(top + window, rows)):
                    for x in range(left, min(left + window, columns)):
                        total[n, y, x] += raw[n, i, j]
                        count[y, x] += n == 0
    return raw, total / count, scores, tops_found


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.tuples(st.integers(1, 10), st.integers(1, 10)).filter(lambda pair: pair[1] <= pair[0]),
    st.sampled_from([0.0, -1.5, "mean"]),
)
def test_naive_loops(pair, fill):
    # pictures of 7 x 9: most windows and strides do not divide them, some are larger than the picture
    net, (window, stride) = pooled_net(), pair
    raw, values, scores, classes = naive(net, IMAGE, CLASSES, window, stride, fill)
    got = run(net, window=window, stride=stride, fill=fill)
    close(got.raw, raw)
    close(got.values, values)
    close(got.extras["scores"], scores)
    assert (got.extras["classes"].numpy() == classes).all()


def test_worked_by_hand():
    # score = sum of the picture 1 2 3 4 5; window 2, stride 2, fill 0: the last window is cut to one pixel
    class Total(torch.nn.Module):
        def forward(self, x):
            return x.flatten(1).sum(1, keepdim=True)

    image = torch.tensor([1.0, 2, 3, 4, 5]).reshape(1, 1, 1, 5)
    got = run(Total(), 0, image, window=2, stride=2)
    assert got.raw.tolist() == [[[3, 7, 5]]]
    assert got.values.tolist() == [[[3, 3, 7, 7, 5]]]
    # stride 1: windows 12, 23, 34, 45; inner pixels are covered twice
    got = run(Total(), 0, image, window=2, stride=1)
    assert got.raw.tolist() == [[[3, 5, 7, 9]]]
    assert got.values.tolist() == [[[3, 4, 6, 8, 9]]]


def test_single_pixels_with_gaps_between_them():
    net, whole = LinearScore(), numbers(run(LinearScore(), 2, IMAGE[:1, :, :5, :6], window=1, stride=1).raw)
    got = run(net, 2, IMAGE[:1, :, :5, :6], window=1, stride=2)
    close(got.raw, whole[:, ::2, ::2])
    close(got.values, whole[:, [0, 0, 2, 2, 4]][:, :, [0, 0, 2, 2, 4, 4]])
    assert "has the value of the last one before it" in got.notes[0]


def test_linear_model():
    net = LinearScore()
    image = random_maps(3, (1, 2, 5, 6))
    got = run(net, 2, image, window=1, stride=1, fill=0.25)
    close(got.raw, numbers(((image - 0.25) * net.weight[2]).sum(1)))


def test_mean_colour_of_each_picture():
    image = torch.stack([torch.full((2, 7, 9), 3.0), torch.full((2, 7, 9), -1.0)]).double()
    close(run(pooled_net(), image=image, window=3, stride=2, fill="mean").raw, np.zeros((2, 3, 4)), atol=1e-12)


def test_chunks_change_nothing():
    one = run(pooled_net(), window=3, stride=2)
    close(run(pooled_net(), window=3, stride=2, chunk=1).values, numbers(one.values))
    close(run(pooled_net(), window=3, stride=2, chunk=7).values, numbers(one.values))


def test_an_output_without_classes():
    got = pellucid.explain(
        torch.nn.Conv2d(2, 1, 3).double(), IMAGE, "occlusion", lambda out: out.flatten(1).sum(1),
        options={"occlusion": {"window": 4, "stride": 4}},
    )["occlusion"]  # fmt: skip
    assert set(got.extras) == {"scores"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 4, "stride": 0}, "Expected window >= 1 and stride >= 1 for occlusion, got window 4 and stride 0"),
        ({"window": 0, "stride": 0}, "got window 0 and stride 0"),
        (
            {"fill": "grey"},
            "Expected a number, mean, blur, noise, inpaint or a picture as fill of occlusion, got 'grey'",
        ),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(BadOption, match=message):
        run(pooled_net(), **options)


def test_discs():
    net, got = pooled_net(), run(pooled_net(), window=5, stride=2, shape="disc")
    whole = numbers(net(IMAGE))
    for i in range(2):
        for j in range(3):
            hidden = IMAGE.clone()
            for y in range(7):
                for x in range(9):
                    if (y - 2 * i - 2) ** 2 + (x - 2 * j - 2) ** 2 <= 2.5**2:
                        hidden[:, :, y, x] = 0
            answer = numbers(net(hidden))
            for n, c in enumerate(CLASSES):
                close(got.raw[n, i, j], whole[n, c] - answer[n, c])


def test_positions_where_the_decision_flips():
    got, whole = run(pooled_net(), window=6, stride=2, fill=-10.0), pooled_net()(IMAGE).argmax(1)
    flips = (got.extras["classes"] != whole[:, None, None]).flatten(1).sum(1)
    assert got.extras["positions with another top class"].tolist() == flips.tolist()
    assert flips.sum() > 0


def test_the_note_says_how_the_map_came_about():
    (note,) = run(pooled_net(), window=3, stride=2, fill="mean").notes
    assert "a square of 3 pixels, moved by 2, hid the place (filled with mean); a pixel has the mean over" in note


def test_fast_tells_how_far_it_deviates(monkeypatch):
    net, image = pooled_net().float(), IMAGE.float()
    exact = run(net, image=image, window=3, stride=2)
    monkeypatch.setattr("pellucid.capture.incremental.scoring.has_short_floats", lambda device: True)
    monkeypatch.setattr("pellucid.capture.incremental.windows._HEAVY", 1)
    fast = run(net, image=image, window=3, stride=2, precision="fast")
    error, largest = float((fast.extras["scores"] - exact.extras["scores"]).abs().max()), float(exact.raw.abs().max())
    assert 0 < error < 0.1 * float(exact.extras["scores"].abs().max())
    assert "Heavy convolutions were computed in bfloat16: scores differ from exact ones by up to" in fast.notes[1]
    assert float(fast.notes[1].split("up to ")[1].split(" where")[0]) <= error * 1.05
    assert f"the largest drop is {float(fast.raw.abs().max()):.2g}" in fast.notes[1]
    assert largest > 0


def test_fast_where_it_cannot_be(monkeypatch):
    monkeypatch.setattr("pellucid.capture.incremental.scoring.has_short_floats", lambda device: False)
    got = run(pooled_net(), window=3, stride=2, precision="fast")
    close(got.raw, numbers(run(pooled_net(), window=3, stride=2).raw))
    assert got.notes[1] == "Computed exactly: this device or network does not allow the fast way."
