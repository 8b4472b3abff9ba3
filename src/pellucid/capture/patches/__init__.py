"""Changing little: what a network says to pictures that differ in a small box, without running it in full.

The engine behind `Probe.score` for a `Local` change: exact incremental inference, as in Krypton
(doi:10.1145/3299869.3319874). The unchanged picture's values are computed once; each variant carries only the box
that differs from them.

| file | what it holds |
|---|---|
| `spans.py` | which rows (or columns) of a map differ, and how that grows through kernels |
| `value.py` | `Patched`: a tensor that knows its unchanged values, its changed boxes, and where these lie |
| `passes.py` | one pass of the network over `Patched` values; what has no rule becomes an ordinary tensor |
| `windows.py` | rules for convolution, pooling, padding and resizing |
| `pointwise.py` | rules for what treats every position alike: activations, normalisation, sums, products |
| `reshaping.py` | rules for joining, cutting and turning axes, and for global pooling |
| `grouping.py` | which variants share a pass, by cost |
| `scoring.py` | the scores of all variants, checked against whole passes |
"""
