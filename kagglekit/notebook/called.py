"""What every function for notebooks does: explain a wrong keyword, and end an interrupted cell with one line."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from kagglekit.kaggle.credentials import masked
from kagglekit.notebook.wording import in_python
from kagglekit.planning.synonyms import keyword_hint
from kagglekit.system.errors import UsageError, UserError, nearest
from kagglekit.system.notebook import kernel
from kagglekit.system.signals import Stopped
from kagglekit.system.whole_imports import with_whole_imports

P = ParamSpec("P")
R = TypeVar("R")


class Interrupted(KeyboardInterrupt):
    """The user interrupted a call; notebooks show its message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def for_notebooks(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function refuse unknown keywords with a suggestion, mask secrets in errors, and end quietly if interrupted.

    Its signature and docstring stay as they are.
    """
    keywords = [name for name, one in inspect.signature(function).parameters.items() if one.kind is one.KEYWORD_ONLY]
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        for word, value in kwargs.items():
            if word not in known:
                raise _unknown(function.__name__, word, value, keywords)
        if kernel():  # a warning of tqdm, which hub and timm import, about widgets that nothing here needs
            warnings.filterwarnings("ignore", message="IProgress not found")
        try:
            if kernel() or hasattr(sys, "ps1"):  # notebooks, and Python's own prompt
                return with_whole_imports(lambda: function(*args, **kwargs))
            return function(*args, **kwargs)
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


def _unknown(name: str, word: str, value: object, keywords: list[str]) -> UsageError:
    hint = keyword_hint(word, keywords, value) or nearest(word, keywords).strip()
    hint = hint or f"its keywords: {', '.join(keywords)}"
    return UsageError(f"{name}() has no keyword {word!r}", hint)
