"""Interrupts that meet an import."""

from __future__ import annotations

import importlib
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kagglekit.system.signals import Stopped, stoppable
from kagglekit.system.whole_imports import with_whole_imports

SLOW = """
import signal, time
for _ in range({signals}):
    signal.raise_signal(signal.SIGINT)
    time.sleep(0.15)
whole = True
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a module that is interrupted so many times while it is imported."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(signals: int) -> str:
        name = f"slow_{signals}_{time.monotonic_ns()}"
        (tmp_path / f"{name}.py").write_text(SLOW.format(signals=signals))
        return name

    return written


def imported(name: str) -> bool:
    return bool(getattr(sys.modules.get(name), "whole", False))


def test_an_interrupt_waits_for_the_end_of_an_import(slow: Any) -> None:
    name, began = slow(1), time.perf_counter()

    def call() -> None:
        importlib.import_module(name)
        time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        with_whole_imports(call)
    assert imported(name)
    assert time.perf_counter() - began < 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_in_the_last_import_of_a_call_is_not_lost(slow: Any) -> None:
    name = slow(1)
    with pytest.raises(KeyboardInterrupt):
        with_whole_imports(lambda: importlib.import_module(name))
    assert imported(name)


def test_the_second_interrupt_does_not_wait(slow: Any) -> None:
    name = slow(2)
    with pytest.raises(KeyboardInterrupt):
        with_whole_imports(lambda: importlib.import_module(name))
    assert not imported(name)


def test_a_run_that_can_be_resumed_is_interrupted_after_the_import_as_well(slow: Any) -> None:
    name = slow(1)

    def call() -> None:
        with stoppable():
            importlib.import_module(name)
            time.sleep(5)

    with pytest.raises(Stopped):
        with_whole_imports(call)
    assert imported(name)


def test_outside_of_an_import_an_interrupt_does_not_wait() -> None:
    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not interrupted")

    with pytest.raises(KeyboardInterrupt):
        with_whole_imports(call)


def test_a_call_within_an_import_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    code = "import signal\nfrom kagglekit.system.whole_imports import with_whole_imports\n"
    code += "def call():\n    signal.raise_signal(signal.SIGINT)\n    raise AssertionError\nwith_whole_imports(call)\n"
    (tmp_path / "my_training.py").write_text(code)
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("my_training")
