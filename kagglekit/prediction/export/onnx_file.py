"""Write a run's network as one ONNX file that says how to use it, and check it against the run's own predictions."""

from __future__ import annotations

import importlib.util
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kagglekit._version import __version__
from kagglekit.prediction.export.exportable import Exportable
from kagglekit.prediction.load import LoadedModel, predict_files, restore
from kagglekit.prediction.new_images import Family
from kagglekit.runs.loaded import LoadedRun
from kagglekit.system.errors import UsageError, UserError, unknown
from kagglekit.system.files import replacing
from kagglekit.types.metric import TITLES, greater_is_better

CLOSE = 1e-4  # largest difference to the run's predictions: absolute below 1, relative above
CHECKED = 8  # images
MOST_BYTES = 2_000_000_000  # of one file: protobuf's limit
INPUT, OUTPUT = "images", "predictions"
FRAMES = {
    "centre": "resize the short side to the size, and cut out the centre",
    "squash": "resize both sides to the size, whatever the aspect",
    "pad": "resize the long side to the size, and pad the short side",
}
NEEDED = ("onnx", "onnxscript", "onnxruntime")
NO_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")  # without, onnxruntime 1.29 and newer tell its maker about the network


@dataclass(frozen=True)
class Exported:
    """An ONNX file that was checked.

    Attributes:
        file: Where it is.
        member: The network in it.
        alone: Says what the run predicts with beside it; empty if it is the run's only network.
        n_images: Number of valid images that it was checked with; 0 for random numbers.
        difference: The largest difference to the run's predictions.
    """

    file: Path
    member: str
    alone: str
    n_images: int
    difference: float


def check_installed() -> None:
    """Check that what writes and checks an ONNX file is installed.

    Raises:
        UsageError: It is not.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise UsageError(f"an export needs {' and '.join(missing)}", 'pip install "kagglekit[onnx]"')


def export_onnx(family: Family, file: Path, member: str = "", data: Path | None = None) -> Exported:
    """Write one network of a run.

    Args:
        family: The run.
        file: Where to.
        member: Its name in the run; empty for the best one on the valid images.
        data: The folder of the run's images; None for the one that it used.

    Raises:
        UserError: The run predicts with networks of several folders, the network cannot be written, or its predictions
            differ.
    """
    loaded = family.own
    _check_one_folder(family)
    name, alone = _chosen(family, member)
    restored = restore(loaded, torch.device("cpu"), name)
    inputs, expected, n_images = _sample(loaded, restored, data)
    with replacing(file) as part:
        _write(restored, torch.zeros((2, *inputs.shape[1:])), part, described(loaded, restored, name))
        difference = _difference(_run(part, inputs.numpy()), expected)
        if not difference <= CLOSE:
            raise UserError(
                f"the predictions of the ONNX file differ by {difference:.2g} from those of {loaded.run.name}",
                "this network cannot be exported faithfully: predict with kagglekit predict",
            )
    return Exported(file, name, alone, n_images, difference)


def _check_one_folder(family: Family) -> None:
    run = family.run
    if family.folds:
        raise UserError(
            f"{run.name} predicts with the networks of {len(family.folds)} folds, and a file holds one",
            f"export one fold: {family.folds[0].run.folder}, or retrain on all images: --full",
        )
    if family.blended:
        names = ", ".join(part.run.name for part in family.blended)
        raise UserError(f"{run.name} blends {names}, and a file holds one network", "export one of these runs")


def _chosen(family: Family, wanted: str) -> tuple[str, str]:
    """Return a member's name, and what the run predicts with beside it."""
    info = family.own.info
    names = [entry.name for entry in info.members]
    if wanted and wanted not in (*names, "final"):
        raise UsageError(unknown("member", wanted, [*names, "final"]))
    if not family.has_several or not names:
        return wanted or "final", ""
    scores = _scores(info.scores, f"valid_{info.metric}")
    known = {name: scores[name] for name in names if name in scores}
    best = max if greater_is_better(info.metric) else min
    name = wanted or (best(known, key=known.__getitem__) if known else names[-1])
    if len(names) == 1:
        calibrated = (
            "the run calibrates its probabilities, the file's are those of the network; its classes are the same"
        )
        return name, calibrated if "chosen" in info.fitted else ""
    title = TITLES.get(info.metric, info.metric)
    own, all_of_them = (f" (valid {title} {scores[of]:.4f})" if of in scores else "" for of in (name, "ensemble"))
    return name, f"{family.run.name} combines {len(names)} networks{all_of_them}; the file holds one of them{own}"


def _scores(rows: Any, key: str) -> dict[str, float]:
    """Return the plain score of each member, and the ensemble's."""
    found: dict[str, float] = {}
    for row in rows:
        if isinstance(pair := row.get(key), tuple) and row.get("member") != "candidate":
            first = row.get("views") == "plain" or row["member"] == "ensemble"
            if first or row["member"] not in found:
                found[str(row["member"])] = pair[0]
    return found


def described(loaded: LoadedRun, restored: LoadedModel, member: str) -> dict[str, str]:
    """Return the metadata of the file: what goes in, what comes out, and where it is from; lists are JSON."""
    info, config, stage = loaded.info, restored.config, restored.stage
    decided = info.decision.found if info.decision else None
    n, side, white = len(config.mean), restored.size, restored.form.white
    return {
        "classes": json.dumps(list(restored.task.columns), ensure_ascii=False),
        "task": info.task,
        "size": str(restored.size),
        "resize": FRAMES.get(stage.plain, f"the view {stage.plain!r} of a plugin"),
        "channels": json.dumps(_channels(loaded)),
        "value_range": json.dumps([0, white]),
        "mean": json.dumps(list(config.mean)),
        "std": json.dumps(list(config.std)),
        "input": f"{INPUT}: float32 (N, {n}, {side}, {side}), (value / {white} - mean) / std",
        "output": f"{OUTPUT}: float32 (N, {len(restored.task.columns)}), {restored.task.called}, as in classes",
        "decision": json.dumps(decided) if decided is not None else "",
        "arch": loaded.recipe.arch,
        "run": loaded.run.name,
        "member": member,
        "competition": info.competition,
        "licence_of_weights": info.licence,
        "kagglekit": __version__,
    }


def _channels(loaded: LoadedRun) -> list[str]:
    n = loaded.info.form.channels
    return ["red", "green", "blue"] if n == 3 else [str(number) for number in range(1, n + 1)]


class _Recorder(nn.Module):
    """Keeps the inputs of a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().contiguous())
        outputs: Tensor = self.network(images)
        return outputs


def _sample(loaded: LoadedRun, restored: LoadedModel, data: Path | None) -> tuple[Tensor, NDArray[np.float32], int]:
    """Return inputs (N, channels, S, S), the run's predictions for them, and how many of them are valid images."""
    folder = data or Path(loaded.info.data)
    files = [folder / row["file"] for row in loaded.run.valid()]
    there = [file.absolute() for file in files if file.is_file()][:CHECKED]
    if there:
        recorder = _Recorder(restored.model)
        watched = LoadedModel(**{**vars(restored), "model": recorder})
        found = predict_files(watched, there, [file.stem for file in there], tta=False, skip_bad=True)
        n = len(found.values)
        return torch.cat(recorder.seen)[:n], found.values, n
    shape = (CHECKED, len(restored.config.mean), restored.size, restored.size)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        values = restored.task.activate(restored.model(inputs.contiguous(memory_format=torch.channels_last)).float())
    return inputs, values.numpy(), 0


def _write(restored: LoadedModel, inputs: Tensor, file: Path, metadata: Mapping[str, str]) -> None:
    """Write the network with its metadata as one file, for any number of images."""
    import onnx

    tensors = (*restored.model.parameters(), *restored.model.buffers())
    if (n_bytes := sum(part.nbytes for part in tensors)) > MOST_BYTES:
        raise UserError(
            f"the network has {n_bytes / 1e9:.1f} GB, and an ONNX file holds {MOST_BYTES / 1e9:.0f} GB",
            "export a smaller one",
        )
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter, about its own parts
            program = torch.onnx.export(
                Exportable(restored.model, restored.size, restored.task.activate).eval(),
                (inputs,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
    except Exception as error:  # the exporter raises whatever its parts raise
        raise UserError(
            f"torch cannot export this network to ONNX: {_reason(error)}",
            "its layers have no counterpart there: try another --arch, or predict with kagglekit predict",
        ) from error
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, file)


def _reason(error: BaseException) -> str:
    """Return the first line of the error that an error of the exporter came from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _run(file: Path, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predict with onnxruntime."""
    os.environ.setdefault(*NO_TELEMETRY)
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: inputs})
    return np.asarray(found, dtype=np.float32)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference; relative where the numbers are above 1."""
    if found.shape != expected.shape:
        return float("inf")
    return float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max())
