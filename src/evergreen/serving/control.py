"""BentoML's process manager circus, without the control socket that any local user could use.

BentoML runs a service's workers under circus. A circus arbiter takes commands and publishes events over
ZeroMQ, without any authentication; `bentoml serve` puts both on random loopback ports, where any user of the
machine reads the service's environment (passwords) and starts processes as its user. Nothing of Evergreen or
BentoML uses them in production, so here they are `inproc://` endpoints, which exist inside the process only:
no file and no port.

Only circus' public class `Arbiter` is changed, and no private name of BentoML.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from evergreen.errors import ServingError

_ENDPOINTS = ("endpoint", "pubsub_endpoint")
# Options that open another socket or need the endpoints from another process (`bentoml serve --reload`).
_NEED_A_SOCKET = ("statsd", "stats_endpoint", "httpd", "multicast_endpoint", "plugins")
_MARK = "_evergreen_closed"

AddressCheck: TypeAlias = Callable[[Sequence[str]], None]
ArbiterCall: TypeAlias = Callable[[Any], None]
_address_checks: list[AddressCheck] = []
_arbiter_calls: list[ArbiterCall] = []


def check_addresses(check: AddressCheck) -> None:
    """Have `check` called with the addresses that a service is about to listen on, before it does; what it
    raises stops the start.

    They are known for sure only here: options, environment and BentoML's configuration all may name them.
    """
    _address_checks.append(check)


def call_with_arbiter(call: ArbiterCall) -> None:
    """Have `call` called with each arbiter that is made from now on, before it starts its workers."""
    _arbiter_calls.append(call)


def close_control_socket() -> None:
    """Give every circus arbiter that this process creates from now on endpoints inside the process only.

    A second call changes nothing. Raises ServingError when the installed circus does not take such endpoints:
    then the service must not start, because the socket would be open.
    """
    try:
        # Here, because only this process's installation can say whether circus is as expected.
        from circus.arbiter import Arbiter
    except ImportError as error:
        raise _build_start_error(f"BentoML's process manager circus is not as expected ({error})") from error
    original = Arbiter.__init__
    if getattr(original, _MARK, False):
        return
    signature = inspect.signature(original)
    if missing := [name for name in _ENDPOINTS if name not in signature.parameters]:
        raise _build_start_error(f"circus' arbiter takes no {' and no '.join(missing)}")

    @functools.wraps(original)
    def _init_arbiter(self: Any, *args: Any, **options: Any) -> None:
        bound = signature.bind_partial(self, *args, **options)
        if socket_options := [name for name in _NEED_A_SOCKET if bound.arguments.get(name)]:
            raise _build_start_error(
                f"the service was started with circus' {', '.join(socket_options)}, which needs the socket"
            )
        hosts = [str(each.host) for each in bound.arguments.get("sockets") or () if each.host]
        for check in _address_checks:
            check(hosts)
        bound.arguments |= {name: f"inproc://evergreen-{name}-{id(self)}" for name in _ENDPOINTS}
        original(*bound.args, **bound.kwargs)
        for call in _arbiter_calls:
            call(self)

    setattr(_init_arbiter, _MARK, True)
    Arbiter.__init__ = _init_arbiter


def refuse_connections_at_the_end() -> None:
    """Have every circus arbiter close its listening sockets as soon as it is asked to stop.

    The arbiter keeps them open until its workers have ended. Meanwhile the system would accept connections
    that nobody serves: a client would wait for the whole drain of the prediction log, and then see its
    connection reset. With them closed it is refused at once, and can turn to another replica.

    A second call changes nothing. Nothing is changed either where circus is not as expected: then a client
    waits.
    """
    try:
        from circus.arbiter import Arbiter
    except ImportError:
        return
    original = getattr(Arbiter, "stop", None)
    if original is None or getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def _stop_arbiter(self: Any, *args: Any, **options: Any) -> Any:
        for listener in dict(getattr(self, "sockets", None) or {}).values():
            listener.close()
        return original(self, *args, **options)

    setattr(_stop_arbiter, _MARK, True)
    Arbiter.stop = _stop_arbiter


def _build_start_error(reason: str) -> ServingError:
    return ServingError(
        f"the service does not start, because its control socket would be open to every local user: {reason}",
        hint="install the BentoML that requirements.lock names, and start the service without --reload",
    )
