"""Runs a plan: the fewest passes that answer every method, then one map after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pellucid.capture.running import Conduct, conduct
from pellucid.capture.together import Together
from pellucid.contracts import Attribution, Provenance
from pellucid.engine.attribute import Attributor
from pellucid.engine.batch import Batch
from pellucid.engine.fusion import fused
from pellucid.engine.plan import Job, Plan
from pellucid.engine.shared_pass import run_shared_pass
from pellucid.errors import BadSite, Refused
from pellucid.targets import Interpretation, NotUnderstood, Target


@dataclass
class RunResult:
    """What a run has found out so far.

    Attributes:
        reading: what the model says about the pictures.
        done: the finished maps.
        refused: methods that turned out to be wrong for the model, with the reason, besides those of the plan.
        conduct: how the network behaves from pass to pass.
    """

    reading: Interpretation = field(default_factory=NotUnderstood)
    done: list[Attribution] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    conduct: Conduct = field(default_factory=Conduct)

    def total(self, plan: Plan) -> int:
        """How many maps a complete run gives."""
        return len(plan.targets) * sum(job.step.method.id not in self.refused for job in plan.jobs)


def run(plan: Plan, batch: Batch, found: RunResult | None = None) -> Iterator[Attribution]:
    """Make the maps of a plan. Must run inside `guarded`.

    Args:
        plan: what to do.
        batch: with which pictures.
        found: takes in what is found out on the way, as soon as it is.

    Yields:
        The maps: target by target, those of the first with all methods first.

    Raises:
        Refused, BadSite: a method that would be wrong for this model, where the plan is strict.
        Cancelled, KeyboardInterrupt: stopped.
    """
    found = RunResult() if found is None else found
    found.conduct = conduct(batch.model, batch.image)
    if found.conduct.alone:
        batch.budget.chunk = 1
    shared = run_shared_pass(plan, batch)
    found.reading = shared.reading
    targets = [target.resolve(found.reading, batch.model) for target in plan.targets]
    together = Together(targets) if len(targets) > 1 and not found.conduct.alone else None
    maker = Attributor(batch, plan.seed, shared, together, run)
    for k, target in enumerate(targets):
        for job in plan.jobs:
            if job.step.method.id in found.refused:
                continue
            try:
                made = _attribution(maker, job, k, target)
            except (Refused, BadSite) as error:
                maker.obey()
                if plan.strict:
                    raise
                found.refused[job.step.method.id] = str(error)
                continue
            found.conduct = conduct(batch.model, batch.image)  # larger batches may have shown more of it
            found.done.append(made)
            yield made
    maker.obey()


def _attribution(maker: Attributor, job: Job, k: int, target: Target) -> Attribution:
    """A job's map for target number `k`, with what it takes to make it again."""
    parts = [maker.attribute(job.step, k, target, site) for site in job.sites]
    whole = fused(parts, job.fuse) if job.fuse and job.step.at_site else parts[0]
    question = Provenance(
        maker.batch.image, tuple(maker.batch.frames), target, job.places, job.fuse if job.places else None, job.step
    )
    return replace(whole, question=question)
