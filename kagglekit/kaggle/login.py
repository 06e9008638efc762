"""Log in to Kaggle with its official client, which only this module imports, and only inside functions.

During import and login, the client can hang without a timeout, print to standard output, and exit. This module
contains all of that, and gives every session of the client timeouts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.credentials import (
    broken_secret,
    credential_problems,
    find_credentials,
    how_to_log_in,
    masked,
    no_credentials,
)
from kagglekit.kaggle.failures import explain
from kagglekit.kaggle.retry import RetryPolicy, call
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import Response


def connect(retry: RetryPolicy) -> Kaggle:
    """Log in to Kaggle with the credentials that the official client finds.

    Raises:
        UserError: There are none, Kaggle refuses them, or it cannot be reached.
    """
    found = find_credentials()
    if not found:
        raise no_credentials()
    if broken := broken_secret():
        raise UserError(f"the Kaggle credentials cannot be used: {broken}", how_to_log_in())
    try:
        return Kaggle(call(retry, lambda: _logged_in(retry.timeouts)), retry)
    except UserError:
        raise
    except Exception as error:
        raise explain(error, "", lambda _: None) from error


def check_login(seconds: float) -> Kaggle:
    """Check, in one attempt, that Kaggle accepts the credentials; return the login, whose calls are not retried.

    Args:
        seconds: Limit of each of the few calls.

    Raises:
        UserError: Kaggle refuses them, or cannot be reached.
    """
    try:
        kaggle = Kaggle(_logged_in((min(5.0, seconds), seconds)), RetryPolicy(0))
        kaggle._call("list_competitions", page_size=1)
    except UserError:
        raise
    except Exception as error:
        raise explain(error, "", lambda _: None) from error
    return kaggle


def _logged_in(timeouts: tuple[float, float]) -> Any:
    """Import the client and log in, with its output hidden and every request bounded in time."""
    _refuse_impostor()
    with redirect_stdout(StringIO()), _timeouts_everywhere(timeouts):
        try:
            api = _api_class(timeouts)()
        except (Exception, SystemExit) as error:
            raise UserError(
                masked(f"the kaggle client cannot be imported: {type(error).__name__}: {error}"),
                "reinstall it (pip install --upgrade kaggle six), and check with kagglekit doctor",
            ) from error
        try:
            api.authenticate()
        except SystemExit:
            problems = "".join(f"; {problem}" for problem in credential_problems())
            what = f"the kaggle client accepts none of the credentials it finds{problems}"
            raise UserError(what, how_to_log_in()) from None
    return api


def _refuse_impostor() -> None:
    """Check that the client is not a file of the working folder, which ``python -m kagglekit`` would import.

    Raises:
        UserError: It is.
    """
    spec = find_spec("kaggle")
    folder = Path.cwd()
    if spec and spec.origin and Path(spec.origin).absolute() in (folder / "kaggle.py", folder / "kaggle/__init__.py"):
        raise UserError(
            f"{spec.origin} would be imported in place of the kaggle client", "rename it, or work in another folder"
        )


def _api_class(timeouts: tuple[float, float]) -> Any:
    """Return the official client's class, with timeouts on every call."""
    from kaggle.api.kaggle_api_extended import KaggleApi
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def send(self, *args: Any, **kwargs: Any) -> Response:
            return super().send(*args, **{**kwargs, "timeout": timeouts})

    class Api(KaggleApi):  # type: ignore[misc]  # the client has no types
        def build_kaggle_client(self) -> Any:
            client = super().build_kaggle_client()
            http = client.http_client()
            http._init_session()
            http._session.mount("https://", Adapter())
            http._session.mount("http://", Adapter())
            return client

    return Api


@contextmanager
def _timeouts_everywhere(timeouts: tuple[float, float]) -> Iterator[None]:
    """Give every request of this process timeouts: importing the client sends one before our session exists."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def bounded(self: HTTPAdapter, *args: Any, **kwargs: Any) -> Response:
        return send(self, *args, **{**kwargs, "timeout": kwargs.get("timeout") or timeouts})

    HTTPAdapter.send = bounded  # type: ignore[method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]
