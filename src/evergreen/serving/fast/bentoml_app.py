"""Puts an ASGI app in front of the one that BentoML makes of a service.

BentoML has no public way to answer a request before its own middlewares (context, time-out, OpenTelemetry,
metrics), which cost more than a prediction. Its worker calls `to_asgi` of the service, so that method of the
service's class is wrapped; its parent process does not call it. Where an installed BentoML has no such
method, the service is served without the app in front: slower, and otherwise the same.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any, cast

from starlette.types import ASGIApp

logger = logging.getLogger(__name__)


def put_in_front(service: Any, prepare: Callable[[], None], wrap_app: Callable[[ASGIApp], ASGIApp]) -> bool:
    """Have BentoML serve `wrap_app(app)` instead of the app of a service; False where it cannot be done.

    `prepare` is called before BentoML makes that app, each time.
    """
    service_class = type(service)
    original = getattr(service_class, "to_asgi", None)
    if not callable(original):
        logger.warning("this version of BentoML makes its app in another way: /predict takes the slow path")
        return False

    @functools.wraps(original)
    def _to_asgi(self: Any, *args: Any, **options: Any) -> ASGIApp:
        if self is not service:
            return cast("ASGIApp", original(self, *args, **options))
        prepare()
        return wrap_app(original(self, *args, **options))

    service_class.to_asgi = _to_asgi
    return True
