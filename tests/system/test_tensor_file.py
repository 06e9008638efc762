"""A failed write of tensors is the operating system's error, whichever safetensors reports it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import safetensors.torch
import torch
from safetensors import SafetensorError

from kagglekit.system.tensor_file import write_tensors


@pytest.mark.parametrize(
    "text",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
    ],
)
def test_a_full_disk_is_recognized_in_the_words_of_old_and_new_versions(tmp_path, monkeypatch, text: str) -> None:
    def full(*_, **__):
        raise SafetensorError(text)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left") as failed:
        write_tensors({"a": torch.ones(1)}, tmp_path / "w")
    assert failed.value.errno == errno.ENOSPC


def test_another_error_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="non contiguous"):
        write_tensors({"a": torch.ones(2, 3).T}, tmp_path / "w")
