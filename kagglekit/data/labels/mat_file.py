"""Read whole numbers from MATLAB files, in a process of their own.

scipy's reader trusts the type numbers in a file. A damaged one ends its whole process with a segmentation fault, so
that only another process can tell which file it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.data.listing import existing_file
from kagglekit.system.damage import reason
from kagglekit.system.errors import UserError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def mat_numbers(wanted: Mapping[Path, Sequence[str]]) -> list[dict[str, list[int]]]:
    """Return the variables of some MATLAB files (up to version 7), each flattened in the file's order.

    Args:
        wanted: The names of the variables by file.

    Returns:
        One mapping a file: the whole numbers by variable.

    Raises:
        UserError: A file is missing or damaged, lacks a variable, or one holds anything but whole numbers.
    """
    answers = _asked([str(existing_file(file)) for file in wanted])
    return [_checked(file, names, answer) for (file, names), answer in zip(wanted.items(), answers, strict=True)]


def _asked(files: list[str]) -> list[dict[str, Any]]:
    """Return the reader's answer for each file; it has no further answers after a crash."""
    command = [sys.executable, "-P", "-m", __spec__.name, *files]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # a notebook may have added folders
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    if done.returncode == 1:  # Python's code for an exception; a crash has others
        raise RuntimeError(f"the reader of MATLAB files failed: {done.stderr.decode(errors='replace')}")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return answers + [{"error": "it is damaged"}] * (len(files) - len(answers))


def _checked(file: Path, names: Sequence[str], answer: dict[str, Any]) -> dict[str, list[int]]:
    if "error" in answer:
        raise UserError(f"cannot read {file} as a MATLAB file: {answer['error']}", "download it again")
    for name in names:
        if name not in answer:
            raise UserError(f"{file}: {unknown('variable', name, list(answer))}")
        if answer[name] is None:
            raise UserError(f"{file}: {name} does not hold whole numbers", "name another variable in the plugin")
    return {name: answer[name] for name in names}


def _answer(file: str) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(file)
        return {name: _whole_numbers(values) for name, values in content.items() if not name.startswith("__")}
    except Exception as error:  # scipy raises anything on a damaged file, MemoryError for its sizes too
        return {"error": reason(error)}


def _whole_numbers(values: Any) -> list[int] | None:
    import numpy as np

    array = np.asarray(values).ravel()
    if array.dtype.kind not in "iuf" or not bool((array == np.rint(array)).all()):
        return None
    return [int(number) for number in array]


if __name__ == "__main__":
    for file in sys.argv[1:]:
        print(json.dumps(_answer(file)), flush=True)
