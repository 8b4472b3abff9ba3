"""One forward pass and as many backward passes as were asked for, and no work beyond.

In one file, since every kind of pass is begun, blamed and read in the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from pellucid.capture.attention import look_at_attention
from pellucid.capture.backward_rules import PLAIN, BackwardRule, Rewriting
from pellucid.capture.layers import check_grid, declared, has_no_gradient, layout_of
from pellucid.capture.operators import between, in_words, nodes, operations
from pellucid.capture.running import (
    CUT_IN_THE_WAY,
    NeedsWholeGraph,
    Recorder,
    Recording,
    Stop,
    conduct,
    feed,
    forward,
    forward_together,
    frozen,
    gradients,
    hides,
    in_double,
    input_type,
    with_rows,
)
from pellucid.contracts import Attentions, Grid, Maps, Model, Site
from pellucid.errors import BadOutput, BadSite, Refused
from pellucid.numerics import full_precision
from pellucid.targets import ClassScores, Interpretation, NotUnderstood, Target, read
from pellucid.wording import counted

# What torch says, and torchvision, when an operation has no second derivative.
_ONCE_ONLY = ("derivative for", "double backwards")


@dataclass(frozen=True)
class PassRequest:
    """What the passes shall bring back.

    Attributes:
        sites: layers whose activation is wanted.
        gradients: True if the gradient at these sites is wanted too.
        curvature: True if the Hessian of the score there, times the activation, is wanted too.
        heads: True if the operations between these sites and the score are wanted too.
        rules: backward rules under which the signal at the model's input is wanted.
        site_rules: backward rules under which the signal at the sites is wanted.
        reading: True if what the model says is wanted; the targets are resolved by it. They are resolved without.
        attentions: summaries of the attention layers that are wanted, by the names of `capture/attention/passes.py`.
    """

    sites: tuple[Site, ...] = ()
    gradients: bool = False
    curvature: bool = False
    heads: bool = False
    rules: tuple[BackwardRule, ...] = ()
    site_rules: tuple[BackwardRule, ...] = ()
    reading: bool = False
    attentions: tuple[str, ...] = ()

    @classmethod
    def together(cls, requests: Sequence[PassRequest]) -> PassRequest:
        """All of several at once, each thing once."""
        every = {f.name: [getattr(request, f.name) for request in requests] for f in fields(cls)}
        return cls(**{name: _all_of(values) for name, values in every.items() if values})

    @property
    def backward(self) -> int:
        """Backward passes per target."""
        return len(self.order) + self.curvature * len(self.sites) + len(self.attentions)

    @property
    def order(self) -> tuple[BackwardRule, ...]:
        """The rules to run: the plain gradient serves the sites, and the input when it is asked for."""
        return tuple(dict.fromkeys([*([PLAIN] if self.gradients else []), *self.rules, *self.site_rules]))

    def split(self) -> list[PassRequest]:
        """One wish per forward pass: rules that rewrite the network differently cannot share one.

        Attention is not among them: it has a pass of its own.
        """
        if self.attentions and not (self.sites or self.order):
            return []
        keys = dict.fromkeys([PLAIN.key, *(rule.key for rule in self.order)])
        parts = [
            replace(
                self,
                attentions=(),
                sites=self.sites if key == PLAIN.key or any(r.key == key for r in self.site_rules) else (),
                gradients=self.gradients and key == PLAIN.key,
                curvature=self.curvature and key == PLAIN.key,
                heads=self.heads and key == PLAIN.key,
                rules=tuple(rule for rule in self.rules if rule.key == key),
                site_rules=tuple(rule for rule in self.site_rules if rule.key == key),
            )
            for key in keys
        ]
        shared, rewritten = parts[0], parts[1:]
        covered = not shared.order and (not shared.sites or any(part.sites for part in rewritten))
        return rewritten if rewritten and covered else parts


def _all_of(values: Sequence[Any]) -> Any:
    """Whether any is wanted, or all that are."""
    return (
        any(values) if isinstance(values[0], bool) else tuple(dict.fromkeys(each for part in values for each in part))
    )


@dataclass
class PassResult:
    """What the passes brought back; maps are channels first and in full precision.

    Attributes:
        reading: what the model says about each row; nothing when that was not wanted.
        targets: as they were scored.
        activation: by site.
        gradient: by (target number, site).
        curvature: by (target number, site), H A with H the score's second derivative at the site and A the activation.
        head: by (target number, site), the names of the operations between the site and the score.
        image_gradient: by (target number, rule).
        relevance: by (target number, rule, site).
        score: by (target number, rule), `[batch]`, as the pass under that rule computed it.
        collected: by (target number, rule), what the rewriting gathered on the way back.
        uncovered: by (rule, site), the operations between the site, or the input where that is None, and the score that
            the rule does not cover.
        assumed: by (rule, site), what the rule took for granted there.
        attentions: by (target number, summary).
        rough: True if what arrived somewhere does not sum to what it must.
    """

    reading: Interpretation = field(default_factory=NotUnderstood)
    targets: Sequence[Target] = ()
    activation: dict[Site, Maps] = field(default_factory=dict)
    gradient: dict[tuple[int, Site], Maps] = field(default_factory=dict)
    curvature: dict[tuple[int, Site], Maps] = field(default_factory=dict)
    head: dict[tuple[int, Site], tuple[str, ...]] = field(default_factory=dict)
    image_gradient: dict[tuple[int, BackwardRule], Maps] = field(default_factory=dict)
    relevance: dict[tuple[int, BackwardRule, Site], Maps] = field(default_factory=dict)
    score: dict[tuple[int, BackwardRule], Tensor] = field(default_factory=dict)
    collected: dict[tuple[int, BackwardRule], Mapping[str, Tensor]] = field(default_factory=dict)
    uncovered: dict[tuple[BackwardRule, Site | None], tuple[str, ...]] = field(default_factory=dict)
    assumed: dict[tuple[BackwardRule, Site | None], tuple[str, ...]] = field(default_factory=dict)
    attentions: dict[tuple[int, str], Attentions] = field(default_factory=dict)
    rough: bool = False

    def add(self, other: PassResult) -> None:
        """Take in what another pass over the same pictures found; what is here already stays."""
        for name in (f.name for f in fields(self) if f.name not in ("reading", "targets", "rough")):
            setattr(self, name, getattr(other, name) | getattr(self, name))


def run_passes(
    model: Model, image: Tensor, samples: Tensor, targets: Sequence[Target], wish: PassRequest
) -> PassResult:
    """Run `wish` on `image` `[batch, channel, *axes]`; `samples` says which picture each row belongs to.

    Must run inside `guarded`.

    Raises:
        BadSite: a site without a grid, met never or several times, or without influence on the target.
        Refused: the network's own in-place operations forbid a gradient.
    """
    parts = wish.split()
    first, *others = parts or [wish]
    found = (
        _look_at_part(model, image, samples, targets, first)
        if parts
        else _look_at_attention(model, image, samples, targets, first)
    )
    for part in others:
        found.add(_look_at_part(model, image, samples, found.targets, replace(part, reading=False)))
    if parts and wish.attentions:
        found.add(_look_at_attention(model, image, samples, found.targets, replace(wish, reading=False)))
    return found


def first_reading(model: Model, image: Tensor, number: int = 0) -> Interpretation:
    """What the model says about one picture, by default the first. Must run inside `guarded`."""
    samples = torch.full((1,), number, dtype=torch.long, device=image.device)
    one = image[number : number + 1]
    return run_passes(with_rows(model, samples), one, samples, [], PassRequest(reading=True)).reading


def _look_at_attention(
    model: Model, image: Tensor, samples: Tensor, targets: Sequence[Target], wish: PassRequest
) -> PassResult:
    with _no_gradient_explained(model):
        seen = look_at_attention(model, image, samples, targets, wish.attentions, reading=wish.reading)
    reading, resolved, attentions = seen
    return PassResult(reading, resolved, attentions=attentions)


def _look_at_part(
    model: Model, image: Tensor, samples: Tensor, targets: Sequence[Target], wish: PassRequest
) -> PassResult:
    from_image = bool(wish.rules)
    try:
        found = _look(model, image, samples, targets, wish, from_image=from_image)
        return _look_in_double(model, image, samples, wish, found) if found.rough else found
    except NeedsWholeGraph:
        return _look(model, image, samples, targets, wish, from_image=True)
    except RuntimeError as error:
        if not from_image and any(words in str(error) for words in CUT_IN_THE_WAY):
            return _look(model, image, samples, targets, wish, from_image=True)
        if wish.curvature and any(words in str(error) for words in _ONCE_ONLY):
            raise Refused(
                f"{model.name} uses an operation that can be differentiated once only: {str(error)[:200]}"
            ) from error
        with _no_gradient_explained(model):
            raise


def _look_in_double(model: Model, image: Tensor, samples: Tensor, wish: PassRequest, rough: PassResult) -> PassResult:
    """The same in float64; what was found already if the network cannot be run so, or has these digits already."""
    if input_type(model, image) == torch.float64:
        return rough
    try:
        with in_double(model) as wide:
            found = _look(wide, image.double(), samples, rough.targets, replace(wish, reading=False), from_image=True)
    except RuntimeError:  # it makes tensors of a type of its own
        return rough
    if found.rough:
        return rough
    found.reading, found.targets = rough.reading, rough.targets
    found.add(rough)
    for rule in wish.rules:
        found.assumed[rule, None] = (*found.assumed.get((rule, None), ()), _REPEATED)
    return found


_HIDDEN = (
    "The network hides something that it computes from the picture from its gradient (detach, no_grad, .data, item, "
    "numpy): it was taken for a constant, and its part of the score is not on the map."
)
_REPEATED = "Computed in float64: with fewer digits the parts did not sum to what they must."


@contextmanager
def _no_gradient_explained(model: Model) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not has_no_gradient(error):
            raise
        raise Refused(
            f"{model.name} has no gradient here: it overwrites in place what the gradient needs, or computes "
            f"behind torch's back. {str(error).splitlines()[0][:200]}"
        ) from error


def _look(
    model: Model, image: Tensor, samples: Tensor, targets: Sequence[Target], wish: PassRequest, *, from_image: bool
) -> PassResult:
    graph = bool(from_image or wish.order)
    rewriting, rewritten = _rewriting(wish)
    hidden = (_HIDDEN,) if rewriting.gives_to_constants and hides(model, image, samples) else ()
    if rewritten:
        rewriting.prepare(model, image, samples)
    leaf = feed(model, image)
    with ExitStack() as stack:
        if rewriting.freezes:
            stack.enter_context(frozen(model.module))
        stack.enter_context(torch.set_grad_enabled(from_image))
        tape = stack.enter_context(Recorder(model.module, wish.sites, graph=graph, whole=from_image))
        if wish.curvature:  # fused attention has no second derivative
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if from_image:
            leaf.requires_grad_()
        with rewriting if rewritten else nullcontext():
            given = rewriting.feed(leaf.clone() if from_image else leaf, model)
            _check_company(model, image, given)
            output = forward_together(model, given, samples)
        reading = _read(output, model, len(given)).first(len(image)) if wish.reading else NotUnderstood()
        if wish.reading:
            placed = reading.placed(samples)
            targets = [target.resolve(placed, model) for target in targets]
        with torch.set_grad_enabled(graph), rewriting if rewritten else nullcontext():
            scores = [rewriting.score(target, output, samples, model) for target in targets] if graph else []
    for score in scores:
        check_rows(score, image, model)
    found = PassResult(reading, targets)
    for site in wish.sites:
        found.activation[site] = _maps(model, site, tape.taps[site].value, image)
    if wish.heads:
        places = [(k, site) for k in range(len(targets)) for site in wish.sites]
        found.head = {(k, site): in_words(operations(scores[k], tape.taps[site].edge)) for k, site in places}
    if rewritten:
        _note_gaps(tape, scores, rewriting, wish, found, hidden)
    found.score = {(k, rule): full_precision(s.detach()) for k, s in enumerate(scores) for rule in wish.order}
    _send_back(model, image, leaf if from_image else None, tape, scores, rewriting, wish, found)
    return found


def _check_company(model: Model, image: Tensor, given: Tensor) -> None:
    """Some rules need further rows beside the pictures, which not every network takes apart."""
    if len(given) > len(image) and (found := conduct(model, image)).alone:
        raise Refused(
            f"{model.name} {found.why}. This method runs pictures and baselines in one batch, where they would not be "
            "kept apart. Take a method that runs them one by one, such as integrated-gradients or occlusion."
        )


def _read(output: Any, model: Model, rows: int) -> Interpretation:
    """What an output says, if it speaks of as many rows as the network was given."""
    found = read(output, model)
    if isinstance(found, ClassScores) and len(found.scores) != rows:
        return NotUnderstood(wrong_rows(model, len(found.scores), rows))
    return found


def check_rows(score: Tensor, image: Tensor, model: Model) -> None:
    """Refuse scores that are not one for each row.

    Raises:
        BadOutput: there are more or fewer.
    """
    if score.shape != (len(image),):
        raise BadOutput(wrong_rows(model, len(score) if score.ndim else 0, len(image)))


def wrong_rows(model: Model, found: int, rows: int) -> str:
    """What to say of scores that do not belong to the pictures row by row."""
    pictures = counted(rows, "picture")
    return (
        f"{model.name} gave scores of {counted(found, 'row')} for {pictures}. Expected one row of scores for "
        "each picture; if the rows are parts of pictures, pass a callable that sums them up as target."
    )


def _note_gaps(
    tape: Recorder,
    scores: Sequence[Tensor],
    rewriting: Rewriting,
    wish: PassRequest,
    found: PassResult,
    hidden: tuple[str, ...],
) -> None:
    """What the rules do not cover, and what they took for granted, each on the way that its signal goes."""
    ways: dict[Site | None, list[Collection[Any]]] = {}
    if wish.rules:
        ways[None] = [list(nodes(score)) for score in scores]
    for site in wish.sites if wish.site_rules else ():
        ways[site] = [between(score, tape.taps[site].edge) for score in scores]
    for end, made in ways.items():
        keys = [(rule, end) for rule in (wish.rules if end is None else wish.site_rules)]
        found.uncovered |= dict.fromkeys(keys, _union(map(rewriting.uncovered, made)))
        found.assumed |= dict.fromkeys(keys, (*_union(map(rewriting.assumed, made)), *hidden))


def _union(words: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(sorted({word for each in words for word in each}))


def _rewriting(wish: PassRequest) -> tuple[Rewriting, bool]:
    """The rewriting of a pass, and whether it changes anything."""
    if set(wish.order) <= {PLAIN}:
        return PLAIN.make(), False
    return wish.order[-1].make(), True


def _send_back(
    model: Model,
    image: Tensor,
    leaf: Tensor | None,
    tape: Recorder,
    scores: Sequence[Tensor],
    rewriting: Rewriting,
    wish: PassRequest,
    found: PassResult,
) -> None:
    """One backward pass per target and rule."""
    at_sites = bool(wish.gradients or wish.site_rules)
    ends: list[Any] = [] if leaf is None else [leaf]
    ends += [tape.taps[site].edge for site in wish.sites] if at_sites else []
    jobs = [(k, rule) for k in range(len(scores)) for rule in wish.order]
    for number, (k, rule) in enumerate(jobs):
        last = number == len(jobs) - 1
        with rewriting.use(rule.name):
            start, twice = rewriting.start(scores[k]), wish.curvature and rule == PLAIN
            signals = _differentiate(scores[k], ends, wish, start, retain=not last, twice=twice)
        found.collected[k, rule] = rewriting.collected(k)
        if leaf is not None and rule in wish.rules:
            arrived = found.image_gradient[k, rule] = full_precision(signals[0].detach()).contiguous()
            found.rough |= not rewriting.holds(full_precision(image), arrived, found.score[k, rule], k)
        for site, signal in zip(wish.sites, signals[leaf is not None :], strict=at_sites):
            if wish.gradients and rule == PLAIN:
                found.gradient[k, site] = _maps(model, site, signal.detach(), image)
                if wish.curvature:
                    found.curvature[k, site] = _maps(model, site, _curvature(signal, tape.taps[site]), image)
            if rule in wish.site_rules:
                found.relevance[k, rule, site] = _maps(model, site, signal, image)


def _curvature(gradient: Tensor, tap: Recording) -> Tensor:
    """H A: the derivative of g . A with A held fixed; 0 where the score is linear in the layer."""
    if not gradient.requires_grad:
        return torch.zeros_like(tap.value)
    ends: list[Any] = [tap.edge]
    product = gradients(gradient, ends, tap.value, retain_graph=True, allow_unused=True)[0]
    return torch.zeros_like(tap.value) if product is None else product


def _differentiate(
    score: Tensor, ends: list[Any], wish: PassRequest, start: Tensor | None, *, retain: bool, twice: bool
) -> tuple[Tensor, ...]:
    if not score.requires_grad:
        raise BadSite(
            f"The target does not depend on {_places(wish)} through differentiable operations, so it has no gradient. "
            "Does the network detach it, or use torch.no_grad inside?"
        )
    result = score
    if start is None:
        with torch.enable_grad():
            result = score.sum()  # rows do not influence each other, so one pass gives every row its own gradient
    signals = gradients(result, ends, start, retain_graph=retain or twice, create_graph=twice, allow_unused=True)
    if any(signal is None for signal in signals):
        raise BadSite(f"The target does not depend on {_places(wish)}: its gradient there does not exist.")
    return signals


def _places(wish: PassRequest) -> str:
    return " and ".join(f"the layer '{site}'" for site in wish.sites) or "the input"


def _maps(model: Model, site: Site, tensor: Tensor, image: Tensor) -> Maps:
    return full_precision(read_grid(model, site, tensor, image).to_maps(tensor))


def read_grid(model: Model, site: Site, tensor: Tensor, image: Tensor) -> Grid:
    """How the tensor at a site is laid out after a pass over `image`, as measured once, or as the user says.

    Raises:
        BadSite: it has no spatial grid, or its rows are no pictures.
    """
    return check_grid(find_grid(model, site, tensor, image), site, tensor, image.ndim - 2)


def find_grid(model: Model, site: Site, tensor: Tensor, image: Tensor) -> Grid | str:
    """The same; where it has no spatial grid, why not.

    Raises:
        BadSite: its rows are no pictures.
    """
    rows = len(image)
    if len(tensor) != rows:
        raise BadSite(
            f"The layer '{site}' has {len(tensor)} rows for {counted(rows, 'picture')}: its rows are parts of "
            "pictures. Choose a layer that `pellucid layers MODEL` lists."
        )
    if site.grid:
        return declared(site, tensor, image.ndim - 2)
    found = layout_of(model, image, site)
    if found is None or found.shape != tuple(tensor.shape[1:]):
        return "the network goes another way on noise, with which its layout is measured"
    return found.grid


def activations(model: Model, image: Tensor, sites: Sequence[Site]) -> dict[Site, Tensor]:
    """The values at `sites`, in the layers' own layout; pictures that would influence each other go one by one."""
    samples = torch.arange(len(image), device=image.device)
    if len(image) > 1 and image.ndim > 2 and conduct(model, image).alone:
        parts = [_activations(model, image[k : k + 1], samples[k : k + 1], sites) for k in range(len(image))]
        return {site: torch.cat([part[site] for part in parts]) for site in sites}
    return _activations(model, image, samples, sites)


def _activations(model: Model, image: Tensor, samples: Tensor, sites: Sequence[Site]) -> dict[Site, Tensor]:
    """Of one pass, which ends early where a second call cannot follow."""
    early = all(site.call is not None for site in sites)
    given = feed(model, image)
    with torch.no_grad(), Recorder(model.module, sites, stop=early) as tape, suppress(Stop):
        forward(model, given, samples)
    return {site: tape.taps[site].value for site in sites}
