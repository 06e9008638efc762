"""What every function for notebooks does: check its arguments, and end an interrupted cell with one line."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kagglekit.kaggle.credentials import masked
from kagglekit.system.display.notebook import kernel
from kagglekit.system.display.wording import in_python
from kagglekit.system.errors import UserError
from kagglekit.system.signals import Stopped
from kagglekit.system.whole_imports import with_whole_imports

P = ParamSpec("P")
R = TypeVar("R")


class Interrupted(KeyboardInterrupt):
    """The user interrupted a call; notebooks show its message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def for_notebooks(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function check its arguments like the command line, mask secrets in errors, and end quietly if interrupted.

    Its signature and docstring stay as they are.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        def call() -> R:
            from kagglekit.cli.keywords import checked  # imports click

            given = checked(function.__name__, signature, args, kwargs)
            return function(*given.args, **given.kwargs)

        if kernel():  # a warning of tqdm, which hub and timm import, about widgets that nothing here needs
            warnings.filterwarnings("ignore", message="IProgress not found")
        try:
            session = kernel() or hasattr(sys, "ps1")  # Python's own prompt
            return with_whole_imports(call) if session else call()
        except UserError as error:
            error.what, error.hint = masked(error.what), masked(error.hint)
            if kernel():
                error.what, error.hint = in_python(error.what), in_python(error.hint)
            raise
        except Stopped as stopped:
            raise Interrupted(str(stopped).replace("interrupted by Ctrl-C", "interrupted")) from None
        except KeyboardInterrupt:
            raise Interrupted("interrupted") from None

    return called
