"""The training loop: Adam, early stopping on held-out pictures, the same numbers from the same seed."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pellucid.capture.running import import_whole
from pellucid.errors import BadModel
from pellucid.jobs import Store, question
from pellucid.jobs.tensors import packed, unpacked
from pellucid.seeds import TORCH, seed_below
from pellucid.training.hyperparameters import Settings

Progress = Callable[[str, int, int], None]
Loss = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
"""From the module, inputs and labels: what is to become small, and the module's answers."""


@dataclass(frozen=True)
class TrainingPass:
    """What one pass over the examples came to; losses are means per example.

    Attributes:
        loss: on the training examples, as they were seen.
        validation_loss: afterwards, on those held out.
        accuracy, validation_accuracy: share answered right, 0 to 1; None for curves.
    """

    loss: float
    validation_loss: float
    accuracy: float | None = None
    validation_accuracy: float | None = None


@dataclass
class Trained:
    """A network with the weights of its best pass.

    Attributes:
        module: in evaluation mode.
        history: of every pass.
        best: number of the pass whose weights it has, from 0.
        seconds: that it took, those before an interrupt included.
        kept: where the state is from which the same training goes on; the caller's to forget.
        ended: why training ended: `all passes`, `no better for N passes` or `interrupted`.
    """

    module: nn.Module
    history: list[TrainingPass] = field(default_factory=list)
    best: int = 0
    ended: str = ""
    seconds: float = 0.0
    kept: Store = field(default_factory=lambda: Store(None, ""))


def task_loss(module: nn.Module, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy for class numbers, mean squared error for curves."""
    answers = module(inputs)
    return (F.mse_loss if labels.is_floating_point() else F.cross_entropy)(answers, labels), answers


def train(
    module: nn.Module,
    examples: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    settings: Settings | None = None,
    *,
    loss: Loss = task_loss,
    progress: Progress | None = None,
    watch: Callable[[nn.Module], None] | None = None,
    state: Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train `module`, in place, and give it the weights of its best pass.

    Every pass draws its order and dropout from the seed and its own number, so a training that was interrupted and
    resumed ends with the same weights as one that was not (on one thread bit for bit).

    Args:
        module: with its first weights.
        examples: inputs and labels (class numbers, or values of a curve).
        validation: the same, to stop early by; never learned from.
        settings: how; None takes the defaults.
        loss: see `Loss`.
        progress: function that is called with what is going on, steps done and steps in all.
        watch: function that is called with the module (in evaluation mode) before the first pass and after each.
        state: folder that keeps the state after every pass; exactly the same training (network, pictures, settings,
            code) goes on from there, any other begins anew beside it.
        resume: refuse to begin anew where only other trainings are kept.

    Raises:
        BadOption: settings that cannot be.
        BadModel: there is nothing to go on with, or the loss is not finite.
    """
    settings = settings or Settings()
    settings.check()
    kept = _kept(state, module=module, settings=settings, examples=examples, validation=validation, loss=loss)
    run = _begun(module, settings, len(examples[0]), kept, resume=resume)
    try:
        with torch.random.fork_rng(devices=[]):
            if watch and not run.trained.history:
                watch(module.eval())
            while not run.finished():
                run.one_pass(examples, validation, loss, progress)
                if watch:
                    watch(module.eval())
                if state is not None:
                    kept.write(_STATE, packed(run.content()))
    except KeyboardInterrupt:
        run.trained.ended = "interrupted"
    run.trained.seconds = run.seconds()
    module.load_state_dict(run.weights)
    module.eval()
    return run.trained


_STATE = "state"


def _kept(folder: Path | None, **facts: Any) -> Store:
    return Store(folder, question("training 1", **facts)) if folder is not None else Store(None, "")


def _begun(module: nn.Module, settings: Settings, count: int, kept: Store, *, resume: bool) -> _Run:
    """A training of `count` examples, at its beginning or where it was interrupted."""
    content = unpacked(kept.read(_STATE))
    run = _Run(module, settings, count, kept)
    if content is not None and run.resume(content):
        return run
    if resume and kept.folder is not None and any(kept.folder.glob("*.kept")):
        raise BadModel(
            f"What {kept.folder} keeps is of another training: it has other settings, pictures or weights, or is "
            "damaged. Give the same as then, or leave --resume out to begin anew beside it."
        )
    return _Run(module, settings, count, kept)


class _Run:
    """The state of a training: all that has to be kept to go on with it."""

    def __init__(self, module: nn.Module, settings: Settings, count: int, kept: Store) -> None:
        self.module, self.settings = module, settings
        self.start, self.earlier = time.perf_counter(), 0.0
        self.trained = Trained(module, kept=kept)
        self.weights = copy.deepcopy(module.state_dict())
        import_whole("torch._dynamo")  # optimisers do, and take seconds for it
        self.optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=settings.rate)
        self.steps = -(-count // settings.batch)
        whole = settings.passes * self.steps
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, whole)

    def seconds(self) -> float:
        """Since the first begin of this training, without the time between."""
        return self.earlier + time.perf_counter() - self.start

    def finished(self) -> bool:
        history, best = self.trained.history, self.trained.best
        if len(history) - 1 - best >= self.settings.patience:
            self.trained.ended = f"no better for {self.settings.patience} passes"
        elif len(history) >= self.settings.passes:
            self.trained.ended = "all passes"
        return bool(self.trained.ended)

    def one_pass(
        self, examples: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor], loss: Loss, progress: Progress | None
    ) -> None:
        number = len(self.trained.history)
        # Dropout and order differ from pass to pass.
        torch.manual_seed(seed_below(TORCH, self.settings.seed * 1_000_003 + number))
        inputs, labels = examples
        self.module.train()
        total, right = 0.0, 0
        # Batches of the same size, give or take one: a last one of a single picture has no spread to normalise by.
        for step, chosen in enumerate(torch.randperm(len(inputs)).tensor_split(self.steps)):
            value, hits = self._step(_shifted(inputs[chosen], self.settings.shift), labels[chosen], loss)
            total += value * len(chosen) / len(inputs)
            right += hits
            if progress:
                progress(f"pass {number + 1}", number * self.steps + step + 1, self.settings.passes * self.steps)
        self.module.eval()
        held, held_right = evaluate(self.module, *validation, loss)
        classes = not labels.is_floating_point()
        self.trained.history.append(
            TrainingPass(total, held, right / len(inputs) if classes else None, held_right if classes else None)
        )
        if held <= min(each.validation_loss for each in self.trained.history):
            self.trained.best = number
            self.weights = copy.deepcopy(self.module.state_dict())

    def _step(self, inputs: Tensor, labels: Tensor, loss: Loss) -> tuple[float, int]:
        value, answers = loss(self.module, inputs, labels)
        if not bool(value.isfinite()):
            raise BadModel(f"The loss became {float(value.detach())}: training has run away. Try a smaller rate.")
        self.optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.schedule.step()
        return float(value.detach()), _right(answers, labels)

    def content(self) -> dict[str, Any]:
        """All of it, to be kept."""
        return {
            "seconds": self.seconds(),
            "history": [asdict(each) for each in self.trained.history],
            "best": self.trained.best,
            "weights": self.weights,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, content: dict[str, Any]) -> bool:
        """Go on from what was kept; whether it could be."""
        first = self.weights
        try:
            history = [TrainingPass(**each) for each in content["history"]]
            earlier, best = float(content["seconds"]), range(len(history))[content["best"]]
            self.module.load_state_dict(content["weights"])  # whether they fit
            self.module.load_state_dict(content["module"])
            self.optimiser.load_state_dict(content["optimiser"])
            self.schedule.load_state_dict(content["schedule"])
        except Exception:  # noqa: BLE001 - a state that does not fit is none, whatever is wrong with it
            self.module.load_state_dict(first)
            return False
        self.weights, self.earlier = content["weights"], earlier
        self.trained.history, self.trained.best = history, best
        return True


@torch.no_grad()
def evaluate(module: nn.Module, inputs: Tensor, labels: Tensor, loss: Loss = task_loss) -> tuple[float, float]:
    """Mean loss and share answered right; `module` in evaluation mode."""
    total, right = 0.0, 0
    for x, y in zip(torch.split(inputs, 256), torch.split(labels, 256), strict=True):
        value, answers = loss(module, x, y)
        total += float(value) * len(x)
        right += _right(answers, y)
    return total / len(inputs), right / len(inputs)


@torch.no_grad()
def predict(module: nn.Module, inputs: Tensor) -> Tensor:
    """The module's answers, `[example, output]`; in evaluation mode."""
    return torch.cat([module(x) for x in torch.split(inputs, 256)])


def _right(answers: Tensor, labels: Tensor) -> int:
    """How many classes were answered right; 0 for curves."""
    return 0 if labels.is_floating_point() else int((answers.argmax(1) == labels).sum())


def _shifted(pictures: Tensor, share: float) -> Tensor:
    """Each picture moved by its own whole number of pixels; its edge is repeated."""
    if pictures.dim() != 4 or not share:
        return pictures
    rows, columns = pictures.shape[2:]
    most = (int(share * rows), int(share * columns))
    down, across = (torch.randint(-m, m + 1, (len(pictures), 1)) for m in most)
    row = (torch.arange(rows) + down).clamp(0, rows - 1)
    column = (torch.arange(columns) + across).clamp(0, columns - 1)
    sample = torch.arange(len(pictures))[:, None, None]
    return pictures[sample, :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
