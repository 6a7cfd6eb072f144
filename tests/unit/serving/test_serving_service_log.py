"""The log of a service's processes: the same form for the worker and its shipper."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from evergreen.serving.service_log import configure_shipper_log
from evergreen.settings import Settings
configure_shipper_log(Settings(use_case="parcel", log_format=sys.argv[1]))
try:
    raise ValueError("a customer's value")
except ValueError:
    logging.getLogger("evergreen.serving.predictions.shipper").exception("the rows wait")
"""


def log_in_process(log_format: str) -> str:
    command = [sys.executable, "-c", PROGRAM, log_format]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_a_shipper_writes_an_object_a_line_where_the_service_does() -> None:
    line = json.loads(log_in_process("json"))
    assert (line["level"], line["message"], line["use_case"]) == ("error", "the rows wait", "parcel")
    assert "ValueError" in line["error"]
    assert "customer" not in line["error"]


def test_text_names_the_shipper() -> None:
    assert "[shipper] [ERROR] the rows wait" in log_in_process("text")


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        log_in_process("xml")
