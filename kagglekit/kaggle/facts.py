"""Facts that Kaggle states about competitions, submissions and kernels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Facts:
    """A competition as Kaggle describes it.

    Attributes:
        slug: The name in its address.
        title: The name on its page.
        metric: Kaggle's name of the metric.
        deadline: In UTC; None if there is none.
        entered: Whether the account has accepted the rules.
        daily: Submissions allowed per day; 0 if unknown.
        code_only: Whether only notebooks can be submitted.
        disabled: Whether submissions are disabled.
    """

    slug: str
    title: str
    metric: str
    deadline: datetime | None
    entered: bool
    daily: int
    code_only: bool
    disabled: bool

    @property
    def over(self) -> bool:
        """True after the deadline."""
        return self.deadline is not None and self.deadline < datetime.now(UTC)


@dataclass(frozen=True)
class Limits:
    """Submissions on the current UTC day: the number made and the number left."""

    today: int
    left: int


@dataclass(frozen=True)
class Submission:
    """A submission as Kaggle describes it.

    Attributes:
        ref: Kaggle's number.
        description: The text that was sent with it.
        status: ``pending``, ``complete`` or ``error``.
        public: Score on the public part; None until it is known.
        private: Score on the private part; None while Kaggle hides it.
        error: Kaggle's reason; empty if there is none.
        file_name: The name of the uploaded file.
        date: The time of submission, ISO, UTC.
    """

    ref: int
    description: str
    status: str
    public: float | None
    private: float | None
    error: str
    file_name: str
    date: str


@dataclass(frozen=True)
class KernelVersion:
    """A version of a kernel: its owner and slug, as in ``ada/my-kernel``, and the number, from 1."""

    ref: str
    number: int
