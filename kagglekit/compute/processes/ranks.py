"""Processes that share one training: torch.distributed, wrapped. Alone, nothing is computed, sent or waited for.

torchrun starts them, and each does the same steps on its own share of every batch. What one of them must decide alone,
such as what it has measured, is decided by the first and sent to the others (`Ranks.of_first`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kagglekit.system.errors import UsageError, UserError
from kagglekit.system.process import process_place

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

T = TypeVar("T")
PATIENCE = timedelta(days=7)  # the first process may decode for hours while the others wait
DELIVERY = 0.5  # s that a signal may take longer to one process than to another
FAILED = "kagglekit/failed"
GONE = re.compile("[Cc]onnect|[Cc]losed|[Rr]eset|[Tt]imed? ?out|[Aa]bort|NCCL")  # in messages of gloo and NCCL


class Lost(UserError):
    """Another process has ended, so that this one cannot go on."""

    def __init__(self) -> None:
        super().__init__("another process of this training has ended", "resume the run: its checkpoints are kept")


class Followed(UserError):
    """The first process has failed, and says why."""


@dataclass(frozen=True)
class Ranks:
    """The processes that share a training, and this one's place among them.

    Attributes:
        rank: Its number, from 0.
        world: How many there are.
        local: Its number among those of this machine, from 0.
        here: How many of them this machine has.
        group: Their connection on the CPU; None alone.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    here: int = 1
    group: Any = None

    @property
    def several(self) -> bool:
        """True if there is another process."""
        return self.world > 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes, measures and speaks."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """Return the name of this process's device: of several GPUs, one for each process.

        Raises:
            UsageError: The device is one certain GPU, or cannot be shared.
        """
        if not self.several or name == "cpu":
            return name
        if name not in ("auto", "cuda"):
            raise UsageError(f"{self.world} processes cannot share --device {name}", "use --device cuda, or cpu")
        import torch

        if name == "auto" and not torch.cuda.is_available():
            return "cpu"
        return f"cuda:{self.local}"

    def of_batch(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's share of a batch of training images."""
        return batch[self.rank :: self.world]

    def part(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this process's share of rows to predict: neighbours, so that `gathered` keeps their order."""
        return np.array_split(rows, self.world)[self.rank] if self.several else rows

    def gathered(self, values: NDArray[Any] | None) -> NDArray[Any]:
        """Return the values of all processes, in their order.

        Args:
            values: (n, ...) for the rows of `part`; None if there are no rows.
        """
        if not self.several:
            assert values is not None
            return values
        return np.concatenate([each for each in self.all(values) if each is not None])

    def all(self, own: T) -> list[T]:
        """Return what each process passes, on all of them."""
        if not self.several:
            return [own]
        import torch.distributed as dist

        found: list[Any] = [None] * self.world
        with connected():
            dist.all_gather_object(found, own, group=self.group)
        return found

    def any(self, own: bool) -> bool:
        """Return whether it is true for any process."""
        return any(self.all(own))

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.several:
            import torch.distributed as dist

            with connected():
                dist.barrier(group=self.group)

    def of_first(self, decide: Callable[[], T]) -> T:
        """Return what the first process decides, on all of them.

        Raises:
            Followed: It has failed; on that process, its own error is raised.
        """
        if not self.several:
            return decide()
        sent: list[Any] = [False, None]
        if self.is_first:
            try:
                sent = [True, decide()]
            except BaseException:
                with suppress(Lost):  # the others may have met the same
                    self._broadcast(sent)
                raise
        self._broadcast(sent)
        if not sent[0]:
            raise Followed("the first process has failed")
        found: T = sent[1]
        return found

    def _broadcast(self, sent: list[Any]) -> None:
        import torch.distributed as dist

        with connected():
            dist.broadcast_object_list(sent, src=0, group=self.group)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Do the block in the first process of each machine, then in its others: these find what it has made.

        Raises:
            Followed: One of the first processes has failed.
        """
        if not self.several:
            yield
            return
        if self.local:
            self._check(True)
            yield
            return
        try:
            yield
        except BaseException:
            with suppress(Lost):
                self.all(False)
            raise
        self._check(True)

    def _check(self, own: bool) -> None:
        if not all(self.all(own)):
            raise Followed("the first process of a machine has failed")

    def once_here(self, work: Callable[[], object]) -> None:
        """Do something in the first process of each machine; return when all processes can see its result."""
        if not self.local:
            work()
        self.wait()

    def same(self, tensors: Sequence[Tensor]) -> None:
        """Give all processes the first one's tensors."""
        if self.several:
            import torch
            import torch.distributed as dist

            with connected(), torch.no_grad():
                for tensor in tensors:
                    sent = tensor.contiguous()
                    dist.broadcast(sent, src=0)
                    tensor.copy_(sent)


ALONE = Ranks()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun has started with this one, in the block; the error of one is reported once.

    Args:
        device: Name of the device that the user chose.

    Raises:
        SystemExit: Another process reports the error for which all end.
    """
    place = process_place()
    if place.world == 1:
        yield ALONE
        return
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    ranks = Ranks(**vars(place))
    backend = "gloo" if ranks.device(device) == "cpu" else "cpu:gloo,cuda:nccl"
    store, rank, world = next(rendezvous("env://", place.rank, place.world, timeout=PATIENCE))
    dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
    try:
        ranks = replace(ranks, group=dist.new_group(backend="gloo", timeout=PATIENCE))
        yield ranks
        ranks.wait()  # what the first one still writes may fail
    except BaseException as error:
        if _reports(ranks, error, store):
            if ranks.rank and isinstance(error, UserError):
                told = UserError(f"process {ranks.rank} of {ranks.world}: {error.what}", error.hint)
                told.exit_code, told.of_all = error.exit_code, False
                raise told from error
            raise
        raise SystemExit(getattr(error, "exit_code", 1)) from error
    dist.destroy_process_group()  # after an error it could wait for one that is gone


def _reports(ranks: Ranks, error: BaseException, store: Any) -> bool:
    """Return whether this process reports its error: of those that meet one, the first that does."""
    if isinstance(error, Followed):
        return False
    if isinstance(error, KeyboardInterrupt):
        return ranks.is_first
    try:
        return bool(store.add(FAILED, 1) == 1)
    except RuntimeError:  # the process that has the store is gone
        return ranks.is_first


@contextmanager
def connected() -> Iterator[None]:
    """Say in the block why something could not be sent or received.

    Raises:
        Lost: Another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not GONE.search(str(error)):
            raise
        time.sleep(DELIVERY)  # what has ended the other one may be a Ctrl-C, which this one gets as well
        raise Lost from error
