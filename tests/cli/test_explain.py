"""`pellucid explain` on good input: what it prints, what it writes, what it takes."""

import json
import shlex

import numpy as np
import pytest
from PIL import Image

WINDOW = ("--occlusion.window", "8", "--occlusion.stride", "4")


def manifest(folder, name="photo"):
    return json.loads((folder / "pellucid-out" / name / "manifest.json").read_text())


def test_a_real_network_explains_a_real_photograph(run, folder):
    answer = run("explain", "sample:cat", "--method", "grad-cam,saliency")
    assert answer.code == 0, answer.err
    for text in ("efficientnet-lite0", "on cpu", "tiger cat", "%", "head", "the model's own default", "report.html"):
        assert text in answer.out
    out = folder / "pellucid-out" / "cat"
    assert {p.name for p in out.iterdir()} == {
        "grad-cam.png",
        "saliency.png",
        "maps.npz",
        "manifest.json",
        "report.html",
        "result.npz",
    }
    with Image.open(out / "grad-cam.png") as image:
        assert image.size == (451, 300)
    assert answer.err == ""


def test_says_what_it_picked_and_why(explain, draw):
    answer = explain(draw(), *WINDOW)
    assert answer.code == 0, answer.err
    assert "(the top class of each picture)" in answer.out
    assert "Layer: late (the last layer with a grid that the score depends on)" in answer.out
    assert "(the default set)" in answer.out
    assert "photo.png, 24 x 20 pixels" in answer.out
    assert "Note: enlarged" not in answer.out


def test_no_colour_codes_when_not_a_terminal(explain, draw):
    answer = explain(draw(), "missing.png", *WINDOW)
    assert "\x1b" not in answer.out + answer.err


def test_colours_where_they_are_wanted(explain, draw, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in explain(draw(), "-m", "saliency").out


def test_json_is_one_document_alone_on_standard_output(explain, draw, folder):
    answer = explain(draw(), "missing.png", "--json", "--seed", 3, *WINDOW, model="nets.py:noisy")
    found = json.loads(answer.out)
    assert answer.code == found["exit_code"] == 3
    assert found["seed"] == 3
    assert found["model"]["device"] == "cpu"
    (picture,) = found["pictures"]
    assert [a["method"] for a in picture["attributions"]] == ["grad-cam", "guided-backprop", "saliency", "occlusion"]
    assert len(picture["predictions"]) == 4
    assert sum(p["probability"] for p in picture["predictions"]) == pytest.approx(1)
    assert picture["choices"]["methods"] == "the default set"
    assert {folder / name for name in picture["files"]} == set((folder / picture["folder"]).iterdir())
    assert found["failed"][0]["error"] == "BadPicture"
    assert "missing.png" in answer.err
    assert "Warning: these weights are random" in answer.err.splitlines()


def test_the_exact_command_is_recorded(explain, draw, folder):
    path = draw("my cat.png")
    explain(path, "-m", "saliency")
    command = shlex.join(["pellucid", "explain", str(path), "-m", "saliency", "--model", "nets.py"])
    assert command in (folder / "pellucid-out" / "my-cat" / "manifest.json").read_text()


def test_methods_may_be_repeated_and_joined_by_commas(explain, draw, folder):
    assert explain(draw(), "--method", "saliency,grad-cam", "-m", "layer-cam", "-m", "saliency").code == 0
    assert [p.stem for p in sorted((folder / "pellucid-out" / "photo").glob("*.png"))] == [
        "grad-cam",
        "layer-cam",
        "saliency",
    ]


def test_option_flags_reach_the_method(explain, draw, folder):
    answer = explain(
        draw(),
        "--occlusion.window",
        "8",
        "--occlusion.stride=4",
        "--occlusion.fill",
        "mean",
        "--grad-cam.rectify",
        "no",
    )
    assert answer.code == 0, answer.err
    text = json.dumps(manifest(folder))
    for record in ('"window": 8', '"stride": 4', '"fill": "mean"', '"rectify": false'):
        assert record in text
    with np.load(folder / "pellucid-out" / "photo" / "maps.npz") as maps:
        assert maps["occlusion/raw"].shape == (3, 3)
        assert maps["grad-cam/values"].min() < 0


@pytest.mark.parametrize("flag", ["--guided-backprop.other-activations", "--guided-backprop.other_activations"])
def test_flags_take_dashes_and_underscores(explain, draw, flag):
    answer = explain(draw(), "-m", "guided-backprop", flag, "plain", model="nets.py:gelu")
    assert answer.code == 0, answer.err
    assert "Treated as plain gradients: gelu." in answer.out


def test_attention(explain, draw, folder):
    flags = ("-m", "attention-rollout", "--attention-rollout.heads", "max", "--attention-rollout.discard", "0.2")
    answer = explain(draw(), *flags, model="nets.py:transformer")
    assert answer.code == 0, answer.err
    row = next(line for line in answer.out.splitlines() if line.strip().startswith("attention-rollout"))
    assert row.split()[1] == "attention"
    assert "sees the picture as 4 x 4 tokens" in " ".join(answer.out.split())
    with np.load(folder / "pellucid-out" / "photo" / "maps.npz") as maps:
        assert maps["attention-rollout/raw"].shape == (4, 4)
    refused = explain(draw(), *flags)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert refused.err.startswith("Error: attention-rollout cannot read this network: it has no attention layer")


def test_options_of_the_method_that_another_builds_on(explain, draw):
    flags = ("--smoothgrad.of", "guided-backprop", "--smoothgrad.samples", "2")
    answer = explain(draw(), "-m", "smoothgrad", *flags, "--guided-backprop.other-activations", "plain")
    assert answer.code == 0, answer.err


def test_the_default_set_leaves_out_what_would_be_wrong(explain, draw, folder):
    answer = explain(draw(), *WINDOW, model="nets.py:gelu")
    assert answer.code == 0, answer.err
    assert "Left out: guided-backprop" in answer.out
    assert "gelu" in answer.out
    assert not (folder / "pellucid-out" / "photo" / "guided-backprop.png").exists()


def test_three_targets(explain, draw):
    found = json.loads(explain(draw(), "--target", "top3", "-m", "grad-cam", "--json").out)["pictures"][0]
    assert [a["target"] for a in found["attributions"]] == [p["name"] for p in found["predictions"][:3]]
    assert len([name for name in found["files"] if name.endswith(".png")]) == 3
    assert "red fox" in explain(draw(), "--target", "top4", "-m", "grad-cam").out


@pytest.mark.parametrize("target", ["2", "red fox", "Red"])
def test_a_target_by_number_name_or_part(explain, draw, target):
    found = json.loads(explain(draw(), "--target", target, "-m", "saliency", "--json").out)["pictures"][0]
    assert found["attributions"][0]["target"] == "red fox"
    assert found["choices"]["class"] == "chosen by you"


def test_two_layers(explain, draw):
    answer = explain(draw(), "--layer", "act", "--layer", "second", "-m", "grad-cam,saliency", "--json")
    found = json.loads(answer.out)["pictures"][0]
    assert [a["site"] for a in found["attributions"]] == ["act", None, "second"]


def test_preprocessing_from_flags(explain, draw):
    flags = ("--size", "12x10", "--resize", "none", "--mean", "0.5", "--std", "0.25", "--interpolation", "nearest")
    answer = explain(draw(), *flags, "-m", "saliency", "--json", model="nets.py:grey")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["pictures"][0]["seen"] == [0, 0, 24, 20]


def test_weights_and_class_names_from_files(explain, draw, folder):
    import torch

    (folder / "names.txt").write_text("one\ntwo\nthree\nfour\n")
    state = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Linear(8, 4)).state_dict()
    torch.save(state, folder / "other.pth")
    names = json.loads(explain(draw(), "--classes", "names.txt", "-m", "saliency", "--json").out)
    assert names["pictures"][0]["predictions"][0]["name"] in ("one", "two", "three", "four")
    answer = explain(draw(), "--weights", "other.pth", "-m", "saliency")
    assert answer.code == 3
    assert "other.pth do not fit" in answer.err


def test_pictures_of_one_name_get_folders_of_their_own(explain, draw, folder):
    paths = [draw("cat.png"), draw("cat.bmp", seed=1), draw("more/Cat.png", seed=2)]
    assert explain(*paths, "-m", "saliency", "--out", "results").code == 0
    assert sorted(p.name.lower() for p in (folder / "results").iterdir()) == ["cat", "cat-2", "cat-3"]


def test_a_second_run_lists_only_its_own_files(explain, draw):
    explain(draw(), "-m", "grad-cam")
    files = json.loads(explain(draw(), "-m", "saliency", "--json").out)["pictures"][0]["files"]
    assert not [name for name in files if "grad-cam" in name]
    assert [name for name in files if "saliency.png" in name]


def test_chunks_do_not_change_the_result(explain, draw, folder):
    maps = []
    for chunk in ((), ("--chunk", 2)):
        assert explain(draw(), "-m", "occlusion", *WINDOW, *chunk).code == 0
        with np.load(folder / "pellucid-out" / "photo" / "maps.npz") as found:
            maps.append(found["occlusion/values"])
    np.testing.assert_allclose(*maps, atol=1e-5)


def test_two_layers_fused(explain, draw, folder):
    answer = explain(draw(), "--layer", "act", "--layer", "late", "-m", "layer-cam", "--fuse", "max", "--json")
    assert answer.code == 0, answer.err
    assert [a["site"] for a in json.loads(answer.out)["pictures"][0]["attributions"]] == ["act + late"]
    (report,) = folder.rglob("report.html")
    assert "fuse=&#39;max&#39;" in report.read_text()


def test_one_layer_cannot_be_fused(explain, draw):
    answer = explain(draw(), "--layer", "act", "-m", "layer-cam", "--fuse", "max")
    assert answer.code == 2
    assert "layers" in answer.err


def test_trust_says_in_a_sentence_what_to_make_of_each_map(explain, draw, folder):
    answer = explain(draw("a.png"), draw("b.png", seed=1), "-m", "saliency,grad-cam", "--trust")
    assert answer.code == 0, answer.err
    text = " ".join(answer.out.split())
    said = [f"{title}: {word}" for title in ("Saliency", "Grad-CAM") for word in ("Good", "Mixed", "Weak", "Beware")]
    assert sum(text.count(beginning) for beginning in said) == 4
    for said in (
        "insertion",
        "lower is better",
        "(random)",
        "(edges)",
        "Over 2 pictures: mean (95 % bootstrap interval)",
    ):
        assert said in text, said
    record = manifest(folder, "a")["methods"][1]["trust"]
    assert record["sentence"] in text
    assert record["scores"][0]["interval"] is None, "one picture has no interval over pictures"
    assert set(record["scores"][0]["controls"]) == {"random", "centre", "edges"}
    page = (folder / "pellucid-out" / "a" / "report.html").read_text()
    assert record["sentence"].replace("'", "&#39;") in page
    assert page.count('class="chart"') >= 4


def test_trust_in_json(explain, draw):
    (picture,) = json.loads(explain(draw(), "-m", "saliency", "--trust", "--json").out)["pictures"]
    assert picture["attributions"][0]["trust"]["scores"][1]["metric"] == "insertion"
    (picture,) = json.loads(explain(draw(), "-m", "saliency", "--json").out)["pictures"]
    assert picture["attributions"][0]["trust"] is None
