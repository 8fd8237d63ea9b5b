"""A Prefect client that is made in a millisecond. Prefect reads all certificate authorities for each one, 20 ms."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


def sync_client(**httpx_settings: Any) -> SyncPrefectClient:
    """A client for the server of PREFECT_API_URL; TLS is verified as Prefect's settings ask, once per process."""
    from prefect.client.orchestration import get_client
    from prefect.settings import (
        PREFECT_API_SSL_CERT_FILE,
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
        PREFECT_API_URL,
    )

    encrypted = not str(PREFECT_API_URL.value() or "").startswith("http://")
    insecure = bool(PREFECT_API_TLS_INSECURE_SKIP_VERIFY.value())
    context = _tls(encrypted, insecure, str(PREFECT_API_SSL_CERT_FILE.value() or ""))
    return get_client(sync_client=True, httpx_settings={"verify": context, **httpx_settings})


@lru_cache(maxsize=4)
def _tls(encrypted: bool, insecure: bool, certificates: str) -> ssl.SSLContext:
    if not encrypted:
        # No TLS is spoken; a context that trusts nobody refuses should a redirect lead to it.
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    import certifi

    return ssl.create_default_context(cafile=certificates or certifi.where())
