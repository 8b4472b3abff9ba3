"""What methods may ask of the passes: a record for each name, found in one folder."""

import sys

import torch

import pellucid
import tiny
from pellucid import registry
from pellucid.contracts import Method, Reference
from pellucid.contracts.method import RESERVED
from pellucid.engine import needs as folder
from pellucid.engine.needs import needs

FILE = """
from pellucid.capture.passes import PassRequest
from pellucid.engine.needs.base import Need

NEEDS = (
    Need(
        "steepness",
        ask=lambda asker, _: PassRequest(rules=(asker.rule,)),
        read=lambda found, asker, where: found.image_gradient[where.target, asker.rule].norm(dim=1),
    ),
    Need(
        "total",
        ask=lambda asker, _: PassRequest(rules=(asker.rule,)),
        read=lambda found, asker, where: float(found.image_gradient[where.target, asker.rule].square().sum()),
        join=sum,
    ),
)
"""


def steep(steepness: torch.Tensor, total: float, *, power: int = 1) -> torch.Tensor:
    """A map that is at hand already, as a share of what all pictures have together."""
    return steepness**power / total


def test_every_reserved_name_that_passes_answer_has_a_record():
    assert set(needs()) == RESERVED - {"enlarge", "image", "probe", "rng"}


def test_a_need_is_added_by_one_file_and_says_how_chunks_are_joined(tmp_path, monkeypatch):
    (tmp_path / "of_steepness.py").write_text(FILE)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    new = Method(steep, "steep", "Steep", Reference("an example", "1"))
    known = {"saliency": registry.find_method("saliency"), "steep": new}
    monkeypatch.setattr(registry, "methods", lambda: known)
    needs.cache_clear()
    try:
        net, image = tiny.build(tiny.Plain), tiny.images(3)
        found = pellucid.explain(net, image, ["steep", "saliency"], 1, options={"steep": {"power": 2}}, chunk=2)
    finally:
        needs.cache_clear()
        sys.modules.pop("pellucid.engine.needs.of_steepness", None)
    squares = found["saliency"].raw.square().sum(1)
    torch.testing.assert_close(found["steep"].values, squares / squares.sum())
