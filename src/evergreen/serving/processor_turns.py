"""How long a thread keeps a processor when others wait for it, as Linux 6.12 and later let a thread choose.

Linux gives every thread the same share of a busy processor. In exchange for short turns a thread gets its
next turn sooner (EEVDF: Stoica and Abdel-Wahab, 1995; `sched_setattr`(2), field `sched_runtime`). A service's
event loop works for tenths of a millisecond and then waits for a request: with turns as short as that it need
not wait until MariaDB, a shipper or another program on the same processor has ended a turn of milliseconds.
No privilege is needed. Elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import struct
from typing import NamedTuple

logger = logging.getLogger(__name__)

# The shortest that Linux takes.
_SHORT_TURN_NS = 100_000
# SCHED_FLAG_RESET_ON_FORK: threads and processes that it starts have the usual turns of milliseconds.
_NOT_INHERITED = 1


class _Calls(NamedTuple):
    """The numbers of two system calls, for which the C library has no functions."""

    set_attributes: int
    get_attributes: int


_CALLS = {"x86_64": _Calls(314, 315), "aarch64": _Calls(274, 275)}
# struct sched_attr, first version: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")


def take_short_turns(thread: int = 0) -> bool:
    """Give a thread of this process (its number; 0: the one that calls) short turns; whether the system took
    it. Earlier kernels take it and change nothing. Threads and processes that it starts have the usual turns.
    """
    calls = _CALLS.get(platform.machine())
    if calls is None or platform.system() != "Linux":
        return False
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    buffer = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if system_call(calls.get_attributes, thread, buffer, _ATTRIBUTES.size, 0):
        return _tell_failure()
    size, policy, flags, nice, priority, _, deadline, period = _ATTRIBUTES.unpack(buffer.raw)
    if policy != os.SCHED_OTHER:
        return False  # whoever started the service has chosen another rule
    flags |= _NOT_INHERITED
    _ATTRIBUTES.pack_into(buffer, 0, size, policy, flags, nice, priority, _SHORT_TURN_NS, deadline, period)
    return _tell_failure() if system_call(calls.set_attributes, thread, buffer, 0) else True


def _tell_failure() -> bool:
    logger.info("the system sets no turns of a processor: %s", os.strerror(ctypes.get_errno()))
    return False
