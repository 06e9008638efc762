"""Cost of `--deterministic`: the same run with and without torch's deterministic algorithms, in turn.

    python benchmarks/deterministic.py --model resnet18 --size 128 --batch 64 --device cpu --runs 5

Both run in fp32, so that only the algorithms differ. The time is that of training and prediction, without imports and
decoding.
"""

from __future__ import annotations

import argparse
from functools import partial

from network import COMPETITION, settings
from pictures import asked_for
from timing import Report, fresh_cache, interleaved, median, median_of, options, spread

from kagglekit import api
from kagglekit.system.display.console import for_people


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
    """Return the seconds of a run's stages and predictions."""
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
    return float(info.seconds) - float(info.decode_seconds)


if __name__ == "__main__":
    main()
