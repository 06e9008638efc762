"""Send one call through the official client's services, which both of its versions have."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

SERVICES = {  # the module of a service's types, and the client's name of what calls it
    "competitions": ("competitions.types.competition_api_service", "competition_api_client"),
    "kernels": ("kernels.types.kernels_api_service", "kernels_api_client"),
    "datasets": ("datasets.types.dataset_api_service", "dataset_api_client"),
    "blobs": ("blobs.types.blob_api_service", "blob_api_client"),
}


def request_of(service: str, rpc: str) -> Any:
    """Return the class of a call's request: of ``get_kernel``, ApiGetKernelRequest."""
    types = importlib.import_module(f"kagglesdk.{SERVICES[service][0]}")
    return getattr(types, "Api" + "".join(word.capitalize() for word in rpc.split("_")) + "Request")


def request_with(service: str, rpc: str, fields: Mapping[str, Any]) -> Any:
    """Return a request with some fields set."""
    request = request_of(service, rpc)()
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def send(api: Any, service: str, rpc: str, request: Any, redirects: bool = True) -> Any:
    """Send a request in one attempt; return the client's response.

    Args:
        api: The official client.
        service: One of `SERVICES`.
        rpc: The client's name of the call.
        request: Of `request_of`.
        redirects: Whether to follow them.

    Raises:
        requests.RequestException: The call failed. It may have been executed anyway.
    """
    with api.build_kaggle_client() as client:
        if not redirects:
            client.http_client()._session.resolve_redirects = lambda *_, **__: iter(())
        return getattr(getattr(getattr(client, service), SERVICES[service][1]), rpc)(request)
