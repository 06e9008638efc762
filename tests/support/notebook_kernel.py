"""A real ipykernel that executes cells, and what it sends meanwhile, with the time of each message."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from command_line import surroundings
from jupyter_client.manager import KernelManager

MOST = 120.0  # s that a cell may take


@dataclass
class Cell:
    """What a cell has sent.

    Attributes:
        messages: Type, content and time since the cell began, s.
    """

    messages: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)
    seconds: float = 0.0

    def all(self, *types: str) -> list[dict[str, Any]]:
        return [content for kind, content, _ in self.messages if kind in types]

    @property
    def text(self) -> str:
        """What its displays show at the end, and its streams."""
        shown: dict[str, str] = {}
        for number, (kind, content, _) in enumerate(self.messages):
            if kind in ("display_data", "update_display_data"):
                name = content.get("transient", {}).get("display_id", str(number))
                shown[name] = content["data"].get("text/plain", "")
        streams = "".join(content["text"] for content in self.all("stream"))
        return "\n".join([*shown.values(), streams])

    @property
    def value(self) -> dict[str, str]:
        """The forms of the cell's value by MIME type."""
        (content,) = self.all("execute_result")
        data: dict[str, str] = content["data"]
        return data

    @property
    def error(self) -> str:
        """What is shown in place of a traceback; empty without an error."""
        return "\n".join(line for content in self.all("error") for line in content["traceback"])


@dataclass
class Kernel:
    manager: KernelManager
    client: Any

    def run(self, code: str, interrupt_at: str = "", after: float = 0.0) -> Cell:
        """Execute a cell; interrupt it once, so long after it shows a text, s; then measure the time to its end."""
        self.client.execute(code)
        cell, began, interrupted = Cell(), time.perf_counter(), 0.0
        while time.perf_counter() - began < MOST:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            cell.messages.append((kind, content, time.perf_counter() - began))
            if kind == "status" and content["execution_state"] == "idle":
                cell.seconds = time.perf_counter() - (interrupted or began)
                return cell
            if interrupt_at and not interrupted and interrupt_at in content.get("data", {}).get("text/plain", ""):
                time.sleep(after)
                self.manager.interrupt_kernel()
                interrupted = time.perf_counter()
        raise AssertionError(f"{code} takes more than {MOST} s:\n{cell.text}")


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """Start a kernel in a folder, with its cache there."""
    manager = KernelManager()
    manager.start_kernel(cwd=str(folder), env=surroundings(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
