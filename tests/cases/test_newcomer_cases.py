"""A first day: readers that stop reading, factories that draw their weights."""

import os
import sys

import pytest
import torch

from pellucid.cli import main


@pytest.mark.parametrize("more", [(), ("--json",)])
@pytest.mark.parametrize("command", ["methods", "models"])
def test_newcomer_a_closed_pipe_ends_no_work(command, more, monkeypatch, capsys):
    reader, writer = os.pipe()
    os.close(reader)  # as `| head -1` does once it has its line
    with os.fdopen(writer, "w", buffering=1, encoding="utf-8") as unread:
        monkeypatch.setattr(sys, "stdout", unread)
        assert main([command, *more]) == 0
    assert capsys.readouterr().err == ""


def test_newcomer_a_factory_that_draws_its_weights_gives_one_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("from torch import nn\ndef model(): return nn.Sequential(nn.Conv2d(3, 2, 3))\n")
    state = torch.get_rng_state()
    value = ["--layer", "0", "--unit", "0", "--at", "1,1"]
    command = ["look", "sample:cat", "--model", "net.py:model", "--size", "8", *value, "--json"]
    outputs = []
    for _ in range(2):
        assert main(command) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert torch.equal(torch.get_rng_state(), state)
