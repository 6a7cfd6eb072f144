"""The end of a worker that another one has taken over from: no request is lost.

uvicorn closes connections without a request at once when it ends. A client that is about to send one on such
a connection would see it broken. A retired worker takes no new connections, says `Connection: close` with
each answer, so that clients go to the new worker, and ends when no connection is left, or after a while.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from typing import Any

import uvicorn

from evergreen.serving.following.exchange_folder import find_exchange_folder
from evergreen.serving.guard.connections import announce_end

logger = logging.getLogger(__name__)

# Longer than uvicorn keeps a connection without a request (5 s).
_LONGEST_SECONDS = 6.0
_POLL_SECONDS = 0.05
_MARK = "_evergreen_hands_over"


def hand_over_when_retired() -> None:
    """Have uvicorn's servers of this process hand over their connections where they are retired.

    A second call changes nothing.
    """
    original = uvicorn.Server.shutdown
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    async def _shutdown(self: uvicorn.Server, *args: Any, **options: Any) -> None:
        folder = find_exchange_folder()
        if folder is not None and folder.is_retired(os.getpid()):
            await hand_over(self)
        await original(self, *args, **options)

    setattr(_shutdown, _MARK, True)
    uvicorn.Server.shutdown = _shutdown  # type: ignore[method-assign]


async def hand_over(server: uvicorn.Server, longest_seconds: float = _LONGEST_SECONDS) -> None:
    """Take no new connections, and wait until the clients of the present ones have gone."""
    logger.info("another worker has taken over: connections are handed over")
    for listener in server.servers:
        listener.close()
    connections = server.server_state.connections
    announce_end(connections)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + longest_seconds
    # A connection that was accepted just now is known only after the loop's next turns.
    await asyncio.sleep(_POLL_SECONDS)
    while connections and loop.time() < deadline:
        await asyncio.sleep(_POLL_SECONDS)
