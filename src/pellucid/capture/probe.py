"""The only object through which a method touches a model: it reads, scores and differentiates.

In one file, since it is one object: whatever a method may ask is here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar, cast

import torch
from torch import Tensor

from pellucid.capture.incremental import incremental
from pellucid.capture.layers import footprint, measured
from pellucid.capture.passes import activations, check_rows, read_grid
from pellucid.capture.running import (
    Budget,
    Recorder,
    conduct,
    feed,
    forward,
    forward_together,
    input_type,
    is_out_of_memory,
    obey,
)
from pellucid.capture.together import Read, Together, question_of_change
from pellucid.contracts import (
    Grid,
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
)
from pellucid.errors import BadOption, Cancelled, Refused
from pellucid.numerics import full_precision
from pellucid.targets import Logit, Residual, Rivals, Target, class_scores

_LATE_BYTES = 2**30
"""Memory for variants of one activation: the rest of a network is cheap, and each chunk pays for the front again."""


Found = TypeVar("Found", Read, Read | None)
"""What a question finds: an answer, or None where it has none of its kind."""

Attribute: TypeAlias = Callable[
    [Callable[..., Any] | None, Tensor, Tensor, Target, Site | None, Mapping[str, Any]], Tensor
]
"""Runs a one-pass function on changed pictures: (function or None for the method named by the option `of`, rows, which
picture each belongs to, target, site, the function's options) -> raw maps."""


@dataclass
class ProgressMeter:
    """Counts samples, reports progress and honours a wish to stop.

    Attributes:
        stop: the wish to stop, once a method makes do with what it has; it is passed on when the method has finished.
        cut: how far that method's work had come; None when it was complete.
        tally: of the loop that a method is in, which progress is reported of instead of each question's.
        said: notes of another method on changed pictures, in order.
    """

    progress: Callable[[str, int, int], None] | None = None
    cancel: Callable[[], bool] | None = None
    forward: int = 0
    backward: int = 0
    label: str = ""
    stop: KeyboardInterrupt | None = None
    cut: SamplesDone | None = None
    tally: SamplesDone | None = None
    said: dict[str, None] = field(default_factory=dict)

    def tick(self, done: int, total: int) -> None:
        """Report progress; raise `Cancelled` if the caller wants to stop, `KeyboardInterrupt` if the user does."""
        self.report(*((done, total) if self.tally is None else (self.tally.done, self.tally.total)))
        if self.stop is not None:
            raise self.stop
        obey()
        if self.cancel and self.cancel():
            raise Cancelled(f"Stopped at the caller's wish during {self.label}, {done} of {total} samples done.")

    def report(self, done: int, total: int) -> None:
        """Tell the caller how far the work has come, once there is something to tell."""
        if self.progress and done:
            self.progress(self.label, done, total)


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

    @property
    def is_tabular(self) -> bool:
        """Whether the model takes rows of features."""
        return self.model.is_tabular

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
        question = self._question(change, count, least, step)
        return VariantScores(*self._own(question, lambda: self._score_rows(count, change, least, step)))

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
        return _joined(chunks, lambda flat: _folded(flat[: done * batch], done).transpose(0, 1))

    def _score_boxes(self, count: int, change: LocalPerturbation, fast: bool = False) -> VariantScores | None:
        """The scores without whole passes; None where the network cannot be followed box by box."""
        if self.alone:
            return None
        total = len(self.image) * count

        def ask(read: Callable[[Any, Tensor], Read]) -> VariantScores | None:
            return incremental(
                self.model, self.image, change, read, self.budget, lambda done: self.meter.tick(done, total), fast=fast
            )

        question = None if fast else self._question(change, count, "boxes")
        if question is None:
            return ask(self._read_answers)

        def ask_for_all() -> Read | None:
            found = ask(self._read_all)
            return None if found is None else (found.score, found.top)

        found = self._own(question, ask_for_all)
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
        question = self._question(change, count, "late", site)
        return VariantScores(*self._own(question, lambda: self._late(count, change, site)))

    def _late(self, count: int, change: Perturbation, site: Site) -> Read:
        """What `late` gives, for all targets, `[batch, count, target]`."""
        batch, chunks = len(self.image), list[Read]()
        for k in range(batch):
            plain, values = self._ask_and_read(k, site)
            found = footprint(self.model, self.image)
            behind = 2 * found.largest_behind(self.model.module.get_submodule(site.path))
            grid = read_grid(self.model, site, values, self.image[k : k + 1])

            def run(start: int, stop: int, k: int = k, plain: Tensor = plain, grid: Grid = grid) -> Read:
                numbers = torch.arange(start, stop, device=self.image.device)
                return self._ask_late(k, plain, site, grid, numbers, change, k * count + start, batch * count)

            most = max(1, (_LATE_BYTES - 4 * found.largest) // (values.nbytes + behind))
            chunks += self.budget.chunks(count, 2 * values.nbytes, run, most=most)
        return _joined(chunks, lambda flat: _folded(flat, batch))

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
        if self.model.mask is None:
            return None
        asked = replace(self.model, call=self.model.mask)

        def run(start: int, stop: int) -> Map:
            samples = torch.arange(start, stop, device=self.image.device)
            given = feed(self.model, self.image[start:stop])
            with torch.inference_mode():
                drawn = forward(asked, given, samples)
            size = [len(samples), *self.image.shape[2:]]
            if not isinstance(drawn, Tensor) or list(drawn.shape) != size:
                got = list(drawn.shape) if isinstance(drawn, Tensor) else type(drawn).__name__
                raise Refused(f"Expected a mask {size} of {self.model.name}'s own, got {got}. Use another method.")
            self.meter.forward += len(samples)
            self.meter.tick(stop, len(self.image))
            return full_precision(drawn).clone()

        found = footprint(self.model, self.image)
        return torch.cat([*self.budget.chunks(len(self.image), 4 * found.largest + 8 * self._row_bytes(), run)])

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
        known = self.model.preprocess
        if known is None or len(known.mean) != self.image.shape[1]:
            return None
        values = [(level - mean) / std for mean, std in zip(known.mean, known.std, strict=True)]
        return torch.tensor(values, dtype=self.image.dtype, device=self.image.device)[
            (None, slice(None), *[None] * (self.image.ndim - 2))
        ]

    def picture(self, name: str) -> Maps:
        """Another picture, a file or a sample, as the model's input `[1, channel, row, column]`.

        Raises:
            BadOption: it has another size or number of channels than the explained ones.
            BadPicture: it cannot be read.
        """
        if self.named is None:
            raise RuntimeError("this probe was made without the means to read pictures")
        found = self.named.picture(name).to(self.image)
        if found.shape[1:] != self.image.shape[1:]:
            raise BadOption(
                f"The picture {name!r} is {list(found.shape[1:])} to the model, not {list(self.image.shape[1:])}."
            )
        return found

    def labels(self, name: str) -> Tensor:
        """A label map from a file: which region each pixel of the model's input belongs to, int64 `[1, row, column]`.

        Raises:
            BadOption: its size is neither that of all pictures nor that of the model's input.
            BadPicture: it cannot be read, or has too many regions.
        """
        if self.named is None:
            raise RuntimeError("this probe was made without the means to read label maps")
        return self.named.labels(name)[None]

    def _need_site(self) -> Site:
        if self.site is None:
            raise RuntimeError("This method asks for a layer but names neither `activation` nor `gradient`.")
        return self.site

    def _row_bytes(self) -> int:
        return 4 * self.image[0].nbytes

    def _ask(self, rows: Tensor, samples: Tensor) -> Read:
        """What the network says to changed pictures, for all targets."""
        given = feed(self.model, rows)
        with torch.inference_mode():
            output = forward_together(self.model, given, samples)
        return self._read_all(output, samples)

    def _question(self, change: Perturbation, *more: Any) -> str | None:
        """What tells a question that other targets ask as well; None where there are none, or it cannot be told."""
        return None if self.together is None else question_of_change(change, *more)

    def _own(self, question: str | None, ask: Callable[[], Found]) -> Found:
        """This target's part of what `ask` finds for all of them; passes count in full for each that shares them."""
        answer: Read | None
        if question is None or self.together is None:
            answer = ask()
        else:
            before = self.meter.forward
            answer, passes = self.together.answer(question, lambda: (ask(), self.meter.forward - before))
            self.meter.forward = before + passes
        if answer is None:
            return cast("Found", None)
        score, top = answer
        return score[..., self._number].clone(), top

    @property
    def _number(self) -> int:
        """This target's among all that are read for."""
        return next(k for k, target in enumerate(self._targets) if target is self.target)

    @property
    def _targets(self) -> Sequence[Target]:
        """Those that each pass is read for."""
        return (self.target,) if self.together is None else self.together.targets

    def _read_answers(self, output: Any, samples: Tensor) -> Read:
        scores, top = self._read(output, samples, (self.target,))
        return scores[:, 0], top

    def _read_all(self, output: Any, samples: Tensor) -> Read:
        return self._read(output, samples, self._targets)

    def _read(self, output: Any, samples: Tensor, targets: Sequence[Target]) -> Read:
        """The scores of rows of an output, `[n, target]`, and their top classes `[n]`."""
        with torch.inference_mode():
            scores = [full_precision(target.score(output, samples, self.model)) for target in targets]
            for score in scores:
                check_rows(score, samples, self.model)
            classes = class_scores(output, self.model)
            top = classes.argmax(1) if isinstance(classes, Tensor) and classes.shape[1] > 1 else None
        self.meter.forward += len(samples)
        return torch.stack(scores, -1).clone(), None if top is None else top.clone()

    def _ask_and_read(self, k: int, site: Site) -> tuple[Tensor, Tensor]:
        """The score of one picture as it is, and its values at the site in the layer's own layout."""
        given, sample = feed(self.model, self.image[k : k + 1]), torch.tensor([k], device=self.image.device)
        with measured(self.model, self.image), torch.inference_mode(), Recorder(self.model.module, [site]) as tape:
            output = forward(self.model, given, sample)
        score, _ = self._read_all(output, sample)
        return score, tape.taps[site].value

    def _ask_late(
        self,
        k: int,
        plain: Tensor,
        site: Site,
        grid: Grid,
        numbers: Tensor,
        change: Perturbation,
        done: int,
        total: int,
    ) -> Read:
        if self.alone:
            return self._ask_one_by_one(k, plain, site, grid, numbers, change, done, total)
        try:
            score, top = self._ask_changed(k, site, grid, numbers, change, repeats=1)
            starts_late = self._agrees(score, plain, len(numbers) + 1)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            starts_late = False
        if not starts_late:
            return self._ask_in_full(k, plain, site, grid, numbers, change, done, total)
        self.meter.tick(done + len(numbers), total)
        return score[1:], None if top is None else top[1:]

    def _ask_in_full(
        self,
        k: int,
        plain: Tensor,
        site: Site,
        grid: Grid,
        numbers: Tensor,
        change: Perturbation,
        done: int,
        total: int,
    ) -> Read:
        """As `_ask_late`, but the whole network runs on every variant, so fewer fit at once."""
        rows = self.budget.rows(4 * footprint(self.model, self.image).largest + self._row_bytes())
        parts = []
        for some in torch.split(numbers, max(1, rows - 1)):
            score, top = self._ask_changed(k, site, grid, some, change, repeats=len(some) + 1)
            if not self._agrees(score, plain, len(some) + 1):
                raise Refused(self._disagrees(score, plain, site, len(some) + 1))
            parts.append((score[1:], None if top is None else top[1:]))
            done += len(some)
            self.meter.tick(done, total)
        tops = [top for _, top in parts if top is not None]
        return torch.cat([score for score, _ in parts]), torch.cat(tops) if tops else None

    def _ask_one_by_one(
        self,
        k: int,
        plain: Tensor,
        site: Site,
        grid: Grid,
        numbers: Tensor,
        change: Perturbation,
        done: int,
        total: int,
    ) -> Read:
        """As `_ask_late`, for networks that take a single row: the unchanged activation has a pass of its own."""
        if done == k * (total // len(self.image)):
            score, _ = self._ask_changed(k, site, grid, numbers[:0], change, repeats=1)
            if not self._agrees(score, plain, 1):
                raise Refused(self._disagrees(score, plain, site, 1))
        parts = [self._ask_changed(k, site, grid, some, change, repeats=0) for some in torch.split(numbers, 1)]
        self.meter.tick(done + len(numbers), total)
        tops = [top for _, top in parts if top is not None]
        return torch.cat([score for score, _ in parts]), torch.cat(tops) if tops else None

    def _disagrees(self, score: Tensor, plain: Tensor, site: Site, rows: int) -> str:
        return (
            f"{self.model.name} gave {float(score[0, 0]):.6g} for the unchanged activation at '{site}' in a batch of "
            f"{rows}, but {float(plain[0, 0]):.6g} for the picture alone. Its answers depend on the rest of the batch."
        )

    def _ask_changed(
        self, k: int, site: Site, grid: Grid, numbers: Tensor, change: Perturbation, *, repeats: int
    ) -> Read:
        """Score the activation as it is and its variants, beginning with so many copies of the picture.

        Without a copy, the picture itself only leads to the site, where its one variant takes its place.
        """
        first = min(repeats, 1)
        samples = torch.full((len(numbers) + first,), k, device=self.image.device)
        given = feed(self.model, self.image[k : k + 1].repeat(max(repeats, 1), *[1] * (self.image.ndim - 1)))
        swap = _swap(grid, samples[first:], numbers, change)
        with torch.inference_mode(), Recorder(self.model.module, (), changes={site: (lambda t: swap(t)[1 - first :])}):
            output = forward(self.model, given, samples[: max(repeats, 1)])
        return self._read_all(output, samples)

    def _agrees(self, score: Tensor, plain: Tensor, rows: int) -> bool:
        """Whether there is one score for each row, and the first row's is that of the picture alone."""
        # sqrt(eps): more than another batch size changes in the last digits, far less than a mixed batch changes
        tolerance = torch.finfo(input_type(self.model, self.image)).eps ** 0.5 * score.abs().amax(0)
        return len(score) == rows and bool(((score[0] - plain[0]).abs() <= tolerance).all())


def _swap(grid: Grid, samples: Tensor, numbers: Tensor, change: Perturbation) -> Callable[[Tensor], Tensor]:
    """Replaces an activation by a batch: itself first, then its variants."""

    def swap(tensor: Tensor) -> Tensor:
        maps = _copies(grid.to_maps(tensor[:1]), len(numbers) + 1)
        changed = change(maps[1:], samples, numbers) if len(numbers) else maps[1:]
        if changed.data_ptr() != maps[1:].data_ptr():
            maps[1:] = changed
        return grid.from_maps(maps, tensor[:1])

    return swap


def _copies(maps: Maps, count: int) -> Maps:
    """One row as many, in the same order of memory; `Tensor.repeat` loses that and takes thrice as long."""
    last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    rows = torch.empty(count, *maps.shape[1:], dtype=maps.dtype, device=maps.device, memory_format=order)
    return rows.copy_(maps)


def _folded(flat: Tensor, first: int) -> Tensor:
    """The first axis as two, the first of which is so long."""
    return flat.reshape(first, -1, *flat.shape[1:])


def _joined(chunks: Sequence[Read], arrange: Callable[[Tensor], Tensor]) -> Read:
    """The answers of all chunks, put in order."""
    score = torch.cat([c[0] for c in chunks])
    tops = [c[1] for c in chunks if c[1] is not None]
    return arrange(score).contiguous(), arrange(torch.cat(tops)).contiguous() if len(tops) == len(chunks) else None
