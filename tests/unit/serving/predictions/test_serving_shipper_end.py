"""The end of a shipper whose worker has ended, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

# As the shipper while MariaDB hangs: it comes to nothing, the news of its worker included.
HANGING = """
import time
from evergreen.serving.predictions.shipper import end_after_worker
end_after_worker(0.1)
print("hangs", flush=True)
time.sleep(600)
"""


def test_a_shipper_ends_after_its_worker_also_while_mariadb_hangs() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as shipper:
        assert shipper.stdin is not None
        assert shipper.stdout is not None
        assert shipper.stdout.readline() == b"hangs\n"
        # News that nobody reads are no end.
        shipper.stdin.write(b"\n")
        shipper.stdin.flush()
        try:
            shipper.stdin.close()
            assert shipper.wait(60) == 0
        finally:
            shipper.kill()
