"""A real uvicorn in the test's own event loop, on a free port, with one of the service's protocol classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp

from evergreen.serving.guard.connections import use_protocol


@contextmanager
def own_protocols() -> Iterator[pytest.MonkeyPatch]:
    """Keep what is set of uvicorn's protocol classes to this block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "")
        yield patch


@asynccontextmanager
async def serving_app(app: ASGIApp, protocol: type | None) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """Serve an app: the server and its port. Its end is waited for."""
    assert use_protocol(protocol)
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, access_log=False)
    config.load()
    assert config.http_protocol_class is protocol
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving
