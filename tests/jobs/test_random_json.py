"""Files of kept work that hold any JSON at all: they are no work, and nobody trips over them."""

import hashlib
import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import pellucid
from pellucid.cli.explain_job import _record
from pellucid.comparison import records
from pellucid.inspection.strongest import Answers
from pellucid.jobs import Store
from pellucid.jobs.tensors import unpacked

ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["files", "document", "scores", "state", "tensors", "costs"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)
OUR_OWN = {"records": records.from_bytes, "maps": records.maps_from_bytes, "picture": _record}
"""What reads entries that other programs could have sealed as well."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = Store(tmp_path_factory.mktemp("kept"), "q" * 8)
    made.write("c" * 8, b"")
    return made


@given(ANY)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_no_entry(store, value):
    """Without the seal it is nothing to any command; with it, what it holds is no scores, maps, answers or state."""
    content, payload = "c" * 8, json.dumps(value).encode()
    (path,) = store.folder.glob("*.kept")
    path.write_bytes(payload)
    assert store.read(content) is None
    path.write_bytes(hashlib.sha256(payload).digest() + payload)
    assert store.read(content) == payload
    for name, parse in OUR_OWN.items():
        found = store.parsed(content, parse)
        whole = name == "picture" and isinstance(value, dict) and isinstance(value.get("document"), dict)
        assert found is None or (whole and value["files"]), name
    if (len(payload) - 8) % 12 or len(payload) < 20:
        assert store.parsed(content, Answers.from_bytes) is None
    assert unpacked(payload) is None


def test_commands_begin_anew_beside_any_json(tmp_path):
    """Every entry of `top` and `compare` is overwritten: both give what they gave before, and mend the entries."""
    torch.manual_seed(0)
    model = pellucid.wrap(nn.Sequential(nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(18, 3)), size=4, resize=None)
    x = torch.rand(2, 3, 4, 4)
    how = {"methods": "saliency", "metrics": "deletion", "options": {"deletion": {"steps": 2}}, "sanity": False}
    fresh = pellucid.compare(model, x, **how)
    pellucid.compare(model, x, folder=tmp_path, **how)
    files = sorted(tmp_path.rglob("*.kept"))
    assert len(files) == 4, "scores and maps of two pictures"
    for payload in (b"[]", b'{"scores": [1], "costs": {}}', b'"text"'):
        for sealed in (payload, hashlib.sha256(payload).digest() + payload):
            for path in files:
                path.write_bytes(sealed)
            found = pellucid.compare(model, x, folder=tmp_path, **how)
            assert not found.failed
            assert torch.equal(found["saliency", "deletion"].values, fresh["saliency", "deletion"].values)
