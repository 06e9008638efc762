"""Logging in to Kaggle with its official client: the only module that imports it, and only inside functions.

The client hangs without a time-out, prints to standard output and exits while it is imported or logs in. All of that
is kept in here, and every session that it opens gets time-outs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any

from kagglekit.kaggle.client import Kaggle
from kagglekit.kaggle.credentials import broken_secret, find_credentials, how_to_log_in, masked
from kagglekit.kaggle.failures import explained
from kagglekit.kaggle.retry import RetryPolicy, call
from kagglekit.system.errors import UserError

if TYPE_CHECKING:
    from requests import Response


def connect(patience: RetryPolicy) -> Kaggle:
    """Log in to Kaggle with the credentials that the official client finds.

    Raises:
        UserError: There are none, Kaggle refuses them, or it can't be reached.
    """
    found = find_credentials()
    if not found:
        raise UserError("there are no credentials for Kaggle", how_to_log_in())
    if broken := broken_secret():
        raise UserError(f"the credentials cannot be used: {broken}", f"save them anew; in use is {found[0].source}")
    try:
        return Kaggle(call(patience, lambda: _logged_in(patience.timeouts)), patience)
    except UserError:
        raise
    except Exception as error:
        raise explained(error, "", lambda _: None) from error


def check_login(seconds: float) -> str:
    """Ask Kaggle, in one attempt, whether it accepts the credentials; return the user's name.

    Args:
        seconds: How long each of the few calls may take.

    Raises:
        UserError: It does not, or it can't be asked.
    """
    try:
        kaggle = Kaggle(_logged_in((min(5.0, seconds), seconds)), RetryPolicy())
        kaggle._call("list_competitions", page_size=1)
    except UserError:
        raise
    except Exception as error:
        raise explained(error, "", lambda _: None) from error
    return str(kaggle.api.config_values.get("username") or "")


def _logged_in(timeouts: tuple[float, float]) -> Any:
    """Import the client and log in; nothing it prints is shown, and nothing it does takes for ever."""
    with redirect_stdout(StringIO()), _time_outs_for_all(timeouts):
        try:
            api = _api_class(timeouts)()
        except (Exception, SystemExit) as error:
            raise UserError(
                masked(f"the kaggle client cannot be imported: {type(error).__name__}: {error}"),
                "install it again (pip install --upgrade kaggle six), and see kagglekit doctor",
            ) from error
        try:
            api.authenticate()
        except SystemExit:
            raise UserError("the kaggle client takes none of the credentials it finds", how_to_log_in()) from None
    return api


def _api_class(timeouts: tuple[float, float]) -> Any:
    """Return the official client's class, with time-outs on every call."""
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
def _time_outs_for_all(timeouts: tuple[float, float]) -> Iterator[None]:
    """Give every request of this process time-outs: importing the client sends one before any session is ours."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def bounded(self: HTTPAdapter, *args: Any, **kwargs: Any) -> Response:
        return send(self, *args, **{**kwargs, "timeout": kwargs.get("timeout") or timeouts})

    HTTPAdapter.send = bounded  # type: ignore[method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]
