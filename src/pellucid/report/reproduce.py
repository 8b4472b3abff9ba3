"""The Python that makes an explanation again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pellucid.contracts import Model, Sample
from pellucid.explanation import Explanation
from pellucid.held import Held
from pellucid.modalities import find_modality
from pellucid.models.embedded import NAME as EMBEDDED
from pellucid.pictures import SAMPLES
from pellucid.report.views import PictureView
from pellucid.targets import Part
from pellucid.wording import counted


def snippet(views: Sequence[PictureView]) -> str:
    """A program that explains these pictures of one explanation in the same way.

    What a program cannot name, such as a module or a function of the user's own, stands as `...` with a comment.
    """
    explanation = views[0].explanation
    given = [_pictures(views), f"methods={list(dict.fromkeys(a.method.id for a in explanation))!r}"]
    given += [_target(views), _layer(explanation), _options(explanation), f"seed={explanation.seed}"]
    given += ["trust=True"] if explanation.evaluation is not None else []
    given += ["inputs=...,  # what goes along with the pictures"] if explanation.model.inputs else []
    arguments = "".join(f"    {line}{'' if '  #' in line else ','}\n" for line in given if line)
    return (
        f"import pellucid\n\nmodel = {_model(explanation.model)}\n"
        f"explanation = pellucid.explain(\n    model,\n{arguments})\nexplanation.save('out')\n"
    )


def _model(model: Model) -> str:
    own = model.preprocess is not None and model.preprocess.transform is not None
    given = (
        [] if model.preprocess is None else ["preprocess=..." if own else f"preprocess=pellucid.{model.preprocess!r}"]
    )
    if model.output is not None:
        given.append(f"output={model.output.path!r}" if isinstance(model.output, Part) else "output=...")
    given += _meaning(model)
    if model.source.partition(":")[0] == EMBEDDED:
        return f"pellucid.load({model.source!r})"
    if model.source:
        return f"pellucid.load({', '.join([repr(model.source), *given])})"
    return f"pellucid.wrap({', '.join(['...', *given])})  # your module; its weights are {model.fingerprint}"


_SAID = ("multi-label", "binary", "regression")


def _meaning(model: Model) -> list[str]:
    """What was said of the numbers of the output; what is measured, or stands in the module's config, is not said."""
    said = [f"answers={model.answers!r}"] if model.answers in _SAID and "answers" not in model.by_config else []
    said += [f"unit={model.unit!r}"] if model.unit else []
    return [*said, *([f"above={model.above!r}"] if model.above != 0.5 else [])]


def _pictures(views: Sequence[PictureView]) -> str:
    if views[0].sample is not None:
        return _samples([view.sample for view in views if view.sample is not None])
    if views[0].picture is None:
        return f"...,  # the tensor that was explained, {counted(len(views), 'sample')}"
    names = [f"sample:{s.name}" if s.name in SAMPLES else s.name for s in views]
    return repr(names[0] if len(names) == 1 else names)


def _samples(samples: Sequence[Sample]) -> str:
    """Files by their names, and what was said of how they are read."""
    kind, geometry = samples[0].kind, samples[0].geometry
    known = {option.name: _as_said(geometry.get(option.name)) for option in find_modality(kind).options}
    said = ", ".join([f"kind={kind!r}", *(f"{name}={x!r}" for name, x in known.items() if x is not None)])
    files = list(dict.fromkeys(sample.geometry.get("file") for sample in samples))
    if None in files:
        return f"..., {said},  # what was explained, {counted(len(samples), 'sample')}"
    return f"{(files[0] if len(files) == 1 else files)!r}, {said}"


def _as_said(value: Any) -> Any:
    """What a user would have said; names are said with commas between them, if that tells them apart."""
    if not isinstance(value, tuple):
        return value
    names = [str(each) for each in value]
    return ",".join(names) if len(set(names)) == len(names) and not any("," in name for name in names) else None


def _target(views: Sequence[PictureView]) -> str:
    asked = views[0].explanation.chosen.get("class")
    if asked is not None and asked.by == "default":
        return ""
    if views[0].explanation.target is not None:
        return f"target={views[0].explanation.target!r}"
    wanted = [list(dict.fromkeys(finding.target for finding in s.findings)) for s in views]
    if all(
        len(names) > 1 and names == [p.name for p in s.predictions[: len(names)]]
        for names, s in zip(wanted, views, strict=True)
    ):
        return f"target='top{len(wanted[0])}'"
    classes = [_class(views[0].explanation.model, names) for names in wanted]
    label = " ".join("; ".join(", ".join(names) for names in wanted).split())
    if None in classes:
        return f"target=...,  # {label}"
    return f"target={classes[0] if len(set(classes)) == 1 else classes!r},  # {label}"


def _class(model: Model, names: Sequence[str]) -> int | None:
    """The only class of this name, or None."""
    if len(names) != 1 or model.classes is None or model.classes.names.count(names[0]) != 1:
        return None
    return model.classes.names.index(names[0])


def _layer(explanation: Explanation) -> str:
    chosen = explanation.chosen
    fuse = chosen["fuse"].value if "fuse" in chosen else None
    named = "layer" in chosen and chosen["layer"].by == "user"  # else methods that join layers find theirs again
    looked = [a.site for a in explanation if a.site and (named or not a.method.fuse)]
    sites = list(dict.fromkeys(str(site) for each in looked for site in each.sites))
    layer = f"layer={(sites[0] if len(sites) == 1 else sites)!r}" if sites else ""
    return f"{layer}, fuse={fuse!r}" if fuse else layer


def _options(explanation: Explanation) -> str:
    changed: dict[str, dict[str, Any]] = {}
    for a in explanation:
        other = {name: value for name, value in a.options.items() if a.method.options.get(name) != value}
        if other:
            changed[a.method.id] = other
    own = any(isinstance(value, Held) for other in changed.values() for value in other.values())
    if own:
        changed = {
            method: {name: ... if isinstance(value, Held) else value for name, value in other.items()}
            for method, other in changed.items()
        }
    text = repr(changed).replace("Ellipsis", "...")
    return f"options={text}{',  # ... are tensors or functions of your own' if own else ''}" if changed else ""
