"""What `--deterministic` costs: the same run with torch's deterministic algorithms and without, in turn.

    python benchmarks/deterministic.py --model resnet18 --size 128 --batch 64 --device cpu --runs 5

Both in fp32, so that only the algorithms differ. The clock is that of training and prediction, without imports and
decoding.
"""

from __future__ import annotations

import argparse
from functools import partial

from network import COMPETITION, settings
from pictures import asked_for
from timing import Report, fresh_cache, interleaved, median, median_of, options, spread

from kagglekit import api
from kagglekit.system.console import for_people


def main() -> None:
    """Measure both, in turn."""
    asked = options(__doc__).parse_args()
    report = Report("deterministic", asked)
    with fresh_cache(asked.work) as cache:
        given = partial(run_seconds, asked, cache)
        given(False, -1)  # decodes the images
        taken = interleaved({"default": partial(given, False), "--deterministic": partial(given, True)}, asked.runs)
    seconds = {name: [run.answer for run in runs] for name, runs in taken.items()}
    for name, each in seconds.items():
        ratio = median(each) / median(seconds["default"])
        cells = {"run": name, "seconds": median(each), "of all runs": spread(each), "of the default": ratio}
        report.rows.append({**cells, "CPU seconds": median_of(taken[name], "cpu")})
    report.notes.append("CPU seconds: of the whole run")
    report.finish()


def run_seconds(asked: argparse.Namespace, cache, deterministic: bool, run: int) -> float:
    """Return the seconds that a run's stages and predictions took."""
    done = api.run(
        COMPETITION,
        data=asked_for(asked),
        settings=settings(asked),
        preset="best",
        precision="fp32",
        deterministic=deterministic,
        device=asked.device,
        out=cache / "runs",
        display=for_people(json_output=True),
    )
    info = done.info()
    return float(info["seconds"]) - float(info["decode_seconds"])


if __name__ == "__main__":
    main()
