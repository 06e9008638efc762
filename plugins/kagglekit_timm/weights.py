"""Pretrained weights: from a file or from timm's hub, read without running code, checked for what they fill."""

from __future__ import annotations

import argparse
import logging
import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import timm
import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from timm.models import clean_state_dict
from torch import Tensor, nn

from kagglekit import UserError, listing

T = TypeVar("T")
PATIENCE = 6.0  # s for the hub's first word; with torch's slow import before it, a run gives up within 20 s
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")  # where training scripts put the weights


def hub_file(arch: str, hub_id: str, filename: str | None) -> Path:
    """Return the weights' file in the local cache, downloading it (with a progress bar) if it is not there.

    Args:
        arch: For messages.
        hub_id: ``owner/name`` or ``owner/name@revision``.
        filename: As timm knows it; None for the hub's usual names.

    Raises:
        UserError: The file can't be had; the hub's first word is awaited for `PATIENCE` seconds only.
    """
    repo, _, revision = hub_id.partition("@")
    names = _safe_first(filename or "pytorch_model.bin")
    for name in names:
        cached = try_to_load_from_cache(repo, name, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    try:
        with quiet():
            name = _within(PATIENCE, lambda: _first_there(repo, names, revision or None))
            return Path(hf_hub_download(repo, name, revision=revision or None, etag_timeout=PATIENCE))
    except Exception as error:  # the hub's client and the network below it raise a dozen unrelated kinds
        raise UserError(
            f"the pretrained weights of {arch} can't be had: {_reason(error)}",
            f"looked for {hub_id} at {constants.ENDPOINT} and in {constants.HF_HUB_CACHE}; with the weights in a "
            "file: --set weights=FILE; without pretrained weights: --set pretrained=false",
        ) from error


def _safe_first(filename: str) -> list[str]:
    """Put the safetensors file that the hub usually has beside a pickle before it."""
    stem = filename.removesuffix(".bin")
    safe = "model.safetensors" if stem == "pytorch_model" else stem.replace("pytorch_model", "model") + ".safetensors"
    return [filename] if filename.endswith(".safetensors") else [safe, filename]


def _first_there(repo: str, names: Sequence[str], revision: str | None) -> str:
    for name in names[:-1]:
        try:
            get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), timeout=PATIENCE)
        except EntryNotFoundError:
            continue
        return name
    get_hf_file_metadata(hf_hub_url(repo, names[-1], revision=revision), timeout=PATIENCE)
    return names[-1]


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """Call `ask` in a thread that may be left behind: a name server that never answers knows no time-out."""
    answers: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def work() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:
            answers.put((None, error))

    Thread(target=work, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # None only where `ask` returns it


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file or a PyTorch state dict, bare or as training scripts wrap it; never runs code.

    Returns:
        Tensors on the CPU by name, without the prefixes of DistributedDataParallel and torch.compile.

    Raises:
        UserError: There is no such file, or it is neither of them.
    """
    if not path.is_file():
        raise UserError(f"there is no weights file {path}", "give the path of one: --set weights=FILE")
    try:
        found = _read_safetensors(path) if _is_safetensors(path) else _read_pickle(path)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"the weights file {path} is refused: it holds more than weights, and reading that could run code",
            "save the weights alone: torch.save(model.state_dict(), FILE), or as safetensors",
        ) from error
    except Exception as error:  # torch and safetensors raise what they like on a damaged file
        raise UserError(
            f"{path} can't be read as safetensors or as a PyTorch state dict: {_reason(error)}",
            "it may be damaged or of another kind: get it anew",
        ) from error
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    tensors = {k: v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise UserError(f"{path} holds no weights by name", "a state dict is needed, not a whole model")
    return dict(clean_state_dict(tensors))


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # a header's length in 8 bytes, then JSON


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]):  # timm's training script saves its arguments so
        return torch.load(path, map_location="cpu", weights_only=True)


def filled(arch: str, tensors: dict[str, Tensor], origin: str, own_file: bool, **options: Any) -> nn.Module:
    """Create the body of `arch` with these weights, through timm's own filters (renaming, position embeddings).

    Args:
        arch: timm's name.
        tensors: The weights, by timm's names or by those its filters know.
        origin: Where they came from, for messages.
        own_file: The user chose the file, so that it may be another network's.
        **options: For `timm.create_model`.

    Raises:
        UserError: They are of another network, or some of the body's are missing.
    """
    overlay = {"state_dict": tensors}
    try:
        with quiet(), _answers_of_loading() as answers:
            body: nn.Module = timm.create_model(arch, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except Exception as error:  # timm's filters fail on a foreign file in any way
        raise UserError(
            f"{origin} does not fit {arch}: {_misfit(error)}", "give the weights of this network: --set weights=FILE"
        ) from error
    cfg: Any = body.pretrained_cfg
    cfg.pop("state_dict", None)  # timm keeps a second copy of the weights there
    missing, unexpected = answers[-1]
    _check_missing(arch, body, missing, tensors, origin)
    if own_file:
        _check_bigger(arch, body, unexpected, origin)
    return body


def _check_missing(arch: str, body: nn.Module, missing: list[str], tensors: dict[str, Tensor], origin: str) -> None:
    names = list(body.state_dict())
    if len(missing) == len([name for name in names if not _counts(name)]):
        raise UserError(
            f"{origin} fills no layer of {arch}: it has {listing(list(tensors), 3)}; "
            f"the network has {listing(names, 3)}",
            "give the weights of this network, by timm's names: --set weights=FILE",
        )
    if missing:
        raise UserError(
            f"{origin} lacks {len(missing)} of the {len(names)} tensors of {arch}: {listing(missing)}",
            "give the weights of this very network: --set weights=FILE",
        )


def _counts(name: str) -> bool:
    """Whether it is BatchNorm's count of batches, which torch makes up where a file lacks it."""
    return name.endswith("num_batches_tracked")


def _check_bigger(arch: str, body: nn.Module, unexpected: list[str], origin: str) -> None:
    """Refuse a deeper network's weights: names that differ from the body's in a layer's number only."""
    kinds = {re.sub(r"\d+", "#", name) for name in body.state_dict()}
    more = [name for name in sorted(unexpected) if re.sub(r"\d+", "#", name) in kinds and not _counts(name)]
    if more:
        raise UserError(
            f"{origin} is of a larger network than {arch}, which has no {listing(more, 3)}",
            "name that network with --arch, or give other weights: --set weights=FILE",
        )


@contextmanager
def _answers_of_loading() -> Iterator[list[tuple[list[str], list[str]]]]:
    """Collect the (missing, unexpected) names that `load_state_dict` returns; timm only logs them."""
    answers: list[tuple[list[str], list[str]]] = []
    plain = nn.Module.load_state_dict

    def remembering(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        answer = plain(self, *args, **kwargs)
        answers.append((list(answer.missing_keys), list(answer.unexpected_keys)))
        return answer

    nn.Module.load_state_dict = remembering  # type: ignore[method-assign]
    try:
        yield answers
    finally:
        nn.Module.load_state_dict = plain  # type: ignore[method-assign]


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what timm and the hub's client log: what matters of it is in our own messages."""
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _misfit(error: Exception) -> str:
    """Word the shapes that differ; else the error's first line."""
    shape = r"torch\.Size\((\[[^\]]*\])\)"
    wrong = re.findall(rf"size mismatch for ([^:]+):.*?{shape}.*?{shape}", str(error))
    sizes = [f"{name} is {theirs} there and {ours} in the network" for name, theirs, ours in wrong]
    return listing(sizes, 2) if sizes else _reason(error)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
