"""The only object through which a method touches a model: it reads, scores and differentiates.

In one file, since it is one object: whatever a method may ask is here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pellucid.capture.behind_layer import BehindLayer
from pellucid.capture.incremental import incremental
from pellucid.capture.layers import footprint
from pellucid.capture.meter import ProgressMeter
from pellucid.capture.own_mask import own_mask
from pellucid.capture.part_probe import PartProbe, grey, labels, picture
from pellucid.capture.passes import activations, read_grid
from pellucid.capture.reading import ScoreReader, folded, joined
from pellucid.capture.running import Budget, conduct, feed, forward_together, unrecorded
from pellucid.capture.together import Read, Together
from pellucid.contracts import (
    LocalPerturbation,
    Map,
    Maps,
    Method,
    Model,
    NamedInputs,
    Perturbation,
    SamplesDone,
    Site,
    VariantScores,
    cut,
)
from pellucid.numerics import full_precision
from pellucid.targets import Logit, Residual, Rivals, Target

Attribute: TypeAlias = Callable[
    [Callable[..., Any] | None, Tensor, Tensor, Target, Site | None, Mapping[str, Any]], Tensor
]
"""Runs a one-pass function on changed pictures: (function or None for the method named by the option `of`, rows, which
picture each belongs to, target, site, the function's options) -> raw maps."""


@dataclass
class Probe:
    """One model, one batch of pictures, one target and one site, ready to be asked. Made inside `guarded`.

    Attributes:
        model: read-only for methods.
        image: the model's input `[batch, channel, row, column]`, in float32 or better whatever the model's own type.
        target: resolved; the same class for all variants of a picture.
        site: the layer in question, None when the method does not look at one.
        base: the method named by the option `of`, if there is that option.
        named: reads other inputs that options name; None where none can be read.
        together: all targets of the call, this one among them, which each pass is read for at once; None reads it for
            this one alone.
    """

    model: Model
    image: Maps
    target: Target
    site: Site | None
    budget: Budget
    meter: ProgressMeter = field(default_factory=ProgressMeter)
    attribute: Attribute | None = None
    base: Method | None = None
    named: NamedInputs | None = None
    together: Together | None = None

    def __post_init__(self) -> None:
        self.alone = conduct(self.model, self.image).alone
        if self.alone:
            self.budget.chunk = 1
        self._reader = ScoreReader(self.model, self.target, self.meter, self.together)

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features."""
        return self.model.is_tabular

    @property
    def parts(self) -> Sequence[PartProbe]:
        """What is known of each of several inputs that are explained together; empty for a lone one."""
        parts = self.model.parts
        if len(parts) < 2:
            return ()
        return [PartProbe(part, piece, self.named) for part, piece in zip(parts, cut(self.image, parts), strict=True)]

    def score(
        self, count: int, change: Perturbation, *, least: int | None = None, step: int = 1, fast: bool = False
    ) -> VariantScores:
        """Score `count` variants of each picture, the first of all pictures first.

        Args:
            count: variants per picture.
            change: makes the variants from copies of the pictures; a `LocalPerturbation` one is scored box by box.
            least: for estimates that only get better with more variants: from so many on, a wish to stop ends the
                asking instead of the method, and the answers so far come back. None needs them all.
            step: the answers so far are cut to a multiple of this.
            fast: compute in bfloat16 what is scored box by box, where the device can; the answers then say how far
                they deviate.
        """
        if (
            isinstance(change, LocalPerturbation)
            and least is None
            and (answers := self._score_boxes(count, change, fast))
        ):
            return answers
        question = self._reader.question(change, count, least, step)
        return VariantScores(*self._reader.own(question, lambda: self._score_rows(count, change, least, step)))

    def _score_rows(self, count: int, change: Perturbation, least: int | None, step: int) -> Read:
        """The scores by whole passes, `[batch, count, target]`."""
        batch, found = len(self.image), footprint(self.model, self.image)
        chunks: list[Read] = []

        def run(start: int, stop: int) -> Read:
            flat = torch.arange(start, stop, device=self.image.device)
            samples, numbers = flat % batch, flat // batch
            return self._ask(change(self.image[samples], samples, numbers), samples)

        with self._early_end(count, count + 1 if least is None else min(least, count)) as tally:
            rows = 0
            for part in self.budget.chunks(batch * count, 4 * found.largest + self._row_bytes(), run):
                chunks.append(part)
                rows += len(part[0])
                tally.done = rows // batch // step * step if rows < batch * count else count
                self.meter.tick(rows, batch * count)
        done = tally.done
        return joined(chunks, lambda flat: folded(flat[: done * batch], done).transpose(0, 1))

    def _score_boxes(self, count: int, change: LocalPerturbation, fast: bool = False) -> VariantScores | None:
        """The scores without whole passes; None where the network cannot be followed box by box."""
        if self.alone:
            return None
        total = len(self.image) * count

        def ask(read: Callable[[Any, Tensor], Read]) -> VariantScores | None:
            return incremental(
                self.model, self.image, change, read, self.budget, lambda done: self.meter.tick(done, total), fast=fast
            )

        question = None if fast else self._reader.question(change, count, "boxes")
        if question is None:
            return ask(self._reader.read)

        def ask_for_all() -> Read | None:
            found = ask(self._reader.read_all)
            return None if found is None else (found.score, found.top)

        found = self._reader.own(question, ask_for_all)
        return None if found is None else VariantScores(*found)

    @contextmanager
    def interruptible(self, total: int, least: int) -> Iterator[SamplesDone]:
        """Work that the user may end early: what is done by then is used, and the map is marked as partial.

        Inside, count what is finished in the tally's `done`. Once `least` of `total` are, Ctrl-C or `cancel` only
        leaves the block: the method goes on behind it with what it has, and the wish is granted when it returns.
        Sooner, the method ends without a map; so it does if it asks for more behind the block.
        """
        with self._early_end(total, least) as tally:
            self.meter.tally = tally
            try:
                yield tally
                self.meter.report(total, total)
            finally:
                self.meter.tally = None

    @contextmanager
    def _early_end(self, total: int, least: int) -> Iterator[SamplesDone]:
        if self.meter.stop is not None:
            raise self.meter.stop
        tally = SamplesDone(total)
        try:
            yield tally
        except KeyboardInterrupt as stop:
            if tally.done < least:
                raise
            self.meter.stop = stop
            self.meter.cut = tally if tally.done < total else None

    def each(
        self,
        count: int,
        change: Perturbation,
        function: Callable[..., Any] | None = None,
        target: Target | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Run a one-pass function on `count` variants of each picture.

        Args:
            count: variants per picture.
            change: makes the variants from copies of the pictures.
            function: its parameters name what it needs of the pass (`gradient`, `image_gradient`, ...); None is the
                method that this one builds on (its option `of`).
            target: something else to score than the target of the call.
            options: of the function; its backward rule takes its own from them.

        Yields:
            (which picture each row belongs to `[n]`, which variant it is `[n]`, the method's raw map `[n, ...]`), in
            order of picture, then variant; chunks of any length.
        """
        if self.attribute is None:
            raise RuntimeError("this probe was made without the means to run other methods")
        run_method = self.attribute
        batch, found = len(self.image), footprint(self.model, self.image)

        def run(start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
            flat = torch.arange(start, stop, device=self.image.device)
            samples, numbers = flat // count, flat % count
            rows = change(self.image[samples], samples, numbers)
            raw = run_method(function, rows, samples, target or self.target, self.site, options or {})
            self.meter.tick(stop, batch * count)
            return samples, numbers, raw

        yield from self.budget.chunks(batch * count, found.there_and_back + self._row_bytes(), run)

    def late(self, count: int, change: Perturbation) -> VariantScores:
        """Score `count` variants of each picture's activation at the site, without running what comes before it.

        Each picture goes through the front of the network once per chunk, alone; at the site its activation
        `[1, channel, row, column]` is replaced by a whole chunk of variants. If the rest of the network cannot take
        that (it keeps the batch size from before, or joins the site with an earlier layer), the picture itself is
        repeated and the full network runs: the same numbers, more slowly. Which of the two is right is not assumed:
        the first variant of every chunk is the unchanged activation, and its score must agree.
        """
        site = self._need_site()
        question = self._reader.question(change, count, "late", site)
        behind = BehindLayer(
            self.model, self.image, site, count, change, self.budget, self.meter, self._reader.read_all, self.alone
        )
        return VariantScores(*self._reader.own(question, behind.ask))

    def read(self) -> Maps:
        """The activation at the site, channels first, `[batch, channel, *axes]`."""
        site = self._need_site()
        values = activations(self.model, self.image, [site])[site]
        self.meter.forward += len(self.image)
        return full_precision(read_grid(self.model, site, values, self.image).to_maps(values))

    def own_mask(self) -> Map | None:
        """The mask that the network itself draws for each picture, `[batch, row, column]`; None when it draws none.

        Raises:
            Refused: what it draws is no mask of the pictures' size.
        """
        return own_mask(self.model, self.image, self.budget, self.meter)

    def rivals(self, count: int) -> Rivals | None:
        """The mean score of the `count` classes nearest the target's, to be given to `each`.

        None when the target is not simply a class's score.
        """
        return Rivals(self.target, count) if type(self.target) is Logit else None

    def residual(self) -> Residual | None:
        """The score and the log-probability of the target's class, to be given to `each`.

        None as for `rivals`, and where there is no log-probability or the score before it is not known.
        """
        known = self.model.answers in ("", "classes", "multi-label", "binary")
        return Residual(self.target.classes) if type(self.target) is Logit and known else None

    def grey(self, level: float) -> Tensor | None:
        """What a grey picture of `level`, 0 (black) to 1 (white), is to the model: `[1, channel, 1...]`.

        None when the model was wrapped without preprocessing, so that its input's scale is not known.
        """
        return grey(self.model.preprocess, self.image, level)

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`.

        Raises:
            BadOption: it has another size or number of channels than the explained ones.
            BadPicture: it cannot be read.
        """
        return picture(self.named, self.image, name)

    def labels(self, name: str) -> Tensor:
        """A label map from a file: which region each pixel of the model's input belongs to, int64 `[1, row, column]`.

        Raises:
            BadOption: its size is neither that of all pictures nor that of the model's input.
            BadPicture: it cannot be read, or has too many regions.
        """
        return labels(self.named, name)

    def _need_site(self) -> Site:
        if self.site is None:
            raise RuntimeError("This method asks for a layer but names neither `activation` nor `gradient`.")
        return self.site

    def _row_bytes(self) -> int:
        return 4 * self.image[0].nbytes

    def _ask(self, rows: Tensor, samples: Tensor) -> Read:
        """What the network says to changed pictures, for all targets."""
        given = feed(self.model, rows)
        with unrecorded(self.model.module):
            output = forward_together(self.model, given, samples)
        return self._reader.read_all(output, samples)
