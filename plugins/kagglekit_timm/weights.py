"""Get pretrained weights from timm's hub, and check that weights fill the network."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import timm
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor, nn

from kagglekit import SourceClassifier, UserError, listing
from kagglekit_timm.weight_files import check_torch, reason

T = TypeVar("T")
HUB_TIMEOUT = 6.0  # s until the hub's first response; with torch's slow import, a run gives up within 20 s


def hub_file(arch: str, hub_id: str, filename: str | None) -> Path:
    """Return the weights' file in the local cache; download it (with a progress bar) if it is missing.

    Args:
        arch: For messages.
        hub_id: ``owner/name`` or ``owner/name@revision``.
        filename: Its name in timm's configuration; None for the hub's default names.

    Raises:
        UserError: The file is not available, the hub does not respond within `HUB_TIMEOUT`, or there is only a pickle
            and this torch cannot read it safely.
    """
    repo, _, revision = hub_id.partition("@")
    names = _safe_first(filename or "pytorch_model.bin")
    for name in names:
        cached = try_to_load_from_cache(repo, name, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    try:
        with quiet():
            name = _within(HUB_TIMEOUT, lambda: _first_there(repo, names, revision or None))
            if not name.endswith(".safetensors"):
                check_torch(f"{name} of {hub_id}")
            return Path(hf_hub_download(repo, name, revision=revision or None, etag_timeout=HUB_TIMEOUT))
    except UserError:
        raise
    except Exception as error:  # the hub's client and the network raise a dozen unrelated kinds
        raise UserError(
            f"cannot get the pretrained weights of {arch}: {reason(error)}",
            f"{hub_id} is neither in {constants.HF_HUB_CACHE} nor available from {constants.ENDPOINT}; use a file: "
            "--set weights=FILE; or random weights: --set pretrained=false",
        ) from error


def _safe_first(filename: str) -> list[str]:
    """Return file names to try: a safetensors file, which the hub usually has, before a pickle."""
    stem = filename.removesuffix(".bin")
    safe = "model.safetensors" if stem == "pytorch_model" else stem.replace("pytorch_model", "model") + ".safetensors"
    return [filename] if filename.endswith(".safetensors") else [safe, filename]


def _first_there(repo: str, names: Sequence[str], revision: str | None) -> str:
    for name in names[:-1]:
        try:
            get_hf_file_metadata(hf_hub_url(repo, name, revision=revision), timeout=HUB_TIMEOUT)
        except EntryNotFoundError:
            continue
        return name
    get_hf_file_metadata(hf_hub_url(repo, names[-1], revision=revision), timeout=HUB_TIMEOUT)
    return names[-1]


def _within(seconds: float, request: Callable[[], T]) -> T:
    """Call `request` in a thread that may be abandoned: name lookups have no timeout."""
    results: SimpleQueue[tuple[T | None, Exception | None]] = SimpleQueue()

    def work() -> None:
        try:
            results.put((request(), None))
        except Exception as error:
            results.put((None, error))

    Thread(target=work, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no response within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # None only where `request` returns it


def filled(arch: str, tensors: dict[str, Tensor], origin: str, own_file: bool, **options: Any) -> nn.Module:
    """Create the body of `arch` with these weights, using timm's filters (renaming, position embeddings).

    Args:
        arch: timm's name.
        tensors: The weights, by timm's names or by others that its filters convert.
        origin: Origin of the weights, for messages.
        own_file: Whether the user chose the file, so that it may be of another network.
        **options: Options of `timm.create_model`.

    Raises:
        UserError: They are of another network, or incomplete.
    """
    overlay = {"state_dict": tensors}
    try:
        with quiet(), _loading_results() as results:
            body: nn.Module = timm.create_model(arch, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except Exception as error:  # timm's filters raise anything for a file of another network
        raise UserError(
            f"{origin} does not fit {arch}: {_misfit(error)}", "use the weights of this network: --set weights=FILE"
        ) from error
    cfg: Any = body.pretrained_cfg
    cfg.pop("state_dict", None)  # timm keeps a second copy of the weights there
    missing, unexpected = results[-1]
    _check_missing(arch, body, missing, tensors, origin)
    if own_file:
        _check_bigger(arch, body, unexpected, origin)
    return body


def classifier(tensors: dict[str, Tensor], cfg: Any, n_features: int) -> SourceClassifier | None:
    """Return the classifier that a network's weights have; None if they have none, or one that is not linear.

    Args:
        tensors: The weights, by timm's names.
        cfg: timm's `PretrainedCfg` of the network.
        n_features: Number of the network's pooled features, which the classifier reads.
    """
    name = cfg.classifier if isinstance(cfg.classifier, str) else ""  # distilled networks have two
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if weight is None or bias is None or not weight.is_floating_point() or weight.ndim not in (2, 4):
        return None
    weight = weight.flatten(1)  # a convolution of one pixel
    if weight.shape[1] != n_features or bias.shape != weight.shape[:1] or len(bias) < 2:
        return None
    if not bias.any():  # the projection of an embedding, as CLIP's, under the name of a classifier
        return None
    return SourceClassifier(weight.float(), bias.float())


def _check_missing(arch: str, body: nn.Module, missing: list[str], tensors: dict[str, Tensor], origin: str) -> None:
    names = list(body.state_dict())
    if len(missing) == len([name for name in names if not _is_batch_count(name)]):
        raise UserError(
            f"{origin} fills no layer of {arch}: it has {listing(list(tensors), 3)}; "
            f"the network has {listing(names, 3)}",
            "use the weights of this network, with timm's names: --set weights=FILE",
        )
    if missing:
        raise UserError(
            f"{origin} lacks {len(missing)} of {len(names)} tensors of {arch}: {listing(missing)}",
            "use the complete weights of this network: --set weights=FILE",
        )


def _is_batch_count(name: str) -> bool:
    """Return whether it is BatchNorm's count of batches, which torch fills in if a file lacks it."""
    return name.endswith("num_batches_tracked")


def _check_bigger(arch: str, body: nn.Module, unexpected: list[str], origin: str) -> None:
    """Refuse the weights of a deeper network: names that differ from the body's only in the number of a layer."""
    kinds = {re.sub(r"\d+", "#", name) for name in body.state_dict()}
    more = [name for name in sorted(unexpected) if re.sub(r"\d+", "#", name) in kinds and not _is_batch_count(name)]
    if more:
        raise UserError(
            f"{origin} is of a larger network than {arch}, which has no {listing(more, 3)}",
            "choose that network with --arch, or other weights: --set weights=FILE",
        )


@contextmanager
def _loading_results() -> Iterator[list[tuple[list[str], list[str]]]]:
    """Collect the (missing, unexpected) names that `load_state_dict` returns; timm only logs them."""
    results: list[tuple[list[str], list[str]]] = []
    plain = nn.Module.load_state_dict

    def remembering(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        result = plain(self, *args, **kwargs)
        results.append((list(result.missing_keys), list(result.unexpected_keys)))
        return result

    nn.Module.load_state_dict = remembering  # type: ignore[method-assign]
    try:
        yield results
    finally:
        nn.Module.load_state_dict = plain  # type: ignore[method-assign]


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the logs of timm and the hub's client; our own messages contain the relevant parts."""
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
    """Return the shapes that differ, or else the error's first line."""
    shape = r"torch\.Size\((\[[^\]]*\])\)"
    wrong = re.findall(rf"size mismatch for ([^:]+):.*?{shape}.*?{shape}", str(error))
    sizes = [f"{name} is {theirs} in the file and {ours} in the network" for name, theirs, ours in wrong]
    return listing(sizes, 2) if sizes else reason(error)
