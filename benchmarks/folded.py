"""Forward passes with and without BatchNorm fused into the convolutions (`kagglekit.compute.fuse_batchnorm`).

    python benchmarks/folded.py --models resnet18 mobilenetv2_100 --size 128 --batch 64

Passes over random images on the device, in each precision, channels last, in turn. A network without BatchNorm
has no row.
"""

from __future__ import annotations

import argparse
from functools import partial

from limit import formats, in_turn, modes, speed_of, synthetic
from timing import Report, interleaved, options, spread

NETWORKS = ("resnet18", "mobilenetv2_100", "resnet50", "efficientnet_b0", "mobilenetv3_small_100", "convnext_atto")
WAYS = {"plain": "infer", "folded": "infer folded"}


def main() -> None:
    """Compare both."""
    parser = options(__doc__, without=("model", "weights"))
    parser.add_argument("--models", nargs="+", default=NETWORKS, help="timm models")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    asked = parser.parse_args()
    report = Report("folded", asked)
    for model in asked.models:
        batch = synthetic(argparse.Namespace(**{**vars(asked), "model": model, "weights": ""}))
        if WAYS["folded"] not in modes(batch.model):
            report.notes.append(f"{model} has no BatchNorm to fold")
            continue
        for chosen in (each for each in formats(batch.device) if each.channels_last):
            turns = {way: partial(in_turn, batch, mode, chosen, asked.seconds) for way, mode in WAYS.items()}
            taken = interleaved(turns, asked.runs)
            plain, folded = (speed_of(taken[way]) for way in WAYS)
            report.rows.append(
                {
                    "model": model,
                    "precision": chosen.precision,
                    "images/s": plain.rate,
                    "folded": folded.rate,
                    "of all runs, folded": spread([run.answer.rate for run in taken["folded"]]),
                    "ratio": f"{folded.rate / plain.rate:.2f}x",
                    "CPU s for 1,000 images": plain.cpu,
                    "CPU s, folded": folded.cpu,
                }
            )
    report.finish()


if __name__ == "__main__":
    main()
