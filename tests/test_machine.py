"""What the system tells of this process."""

import subprocess
import sys

from kerasbook import machine

import pytest


def test_there_is_a_core_and_a_processor():
    assert machine.cores() >= 1
    assert machine.processor()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it otherwise")
def test_the_peak_is_that_of_the_process_alone():
    held = bytearray(200 * 2**20)
    assert machine.memory_now() >= len(held)
    assert machine.peak_memory() >= len(held)
    program = "from kerasbook.machine import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 2**20 < int(done.stdout) < 100 * 2**20
