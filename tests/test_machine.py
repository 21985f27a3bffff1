"""What the system tells of this process."""

import re
import subprocess
import sys

from kerasbook import contents, machine

import pytest


def test_there_is_a_core_and_a_processor():
    assert machine.cores() >= 1
    assert machine.processor()


def test_what_the_processor_has_for_16_bits(monkeypatch, tmp_path):
    file = "flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile"
    monkeypatch.setattr(machine.Path, "read_text", lambda path: file)
    assert machine.features() == ["avx2", "avx512f", "amx_bf16"]
    monkeypatch.setattr(machine.Path, "read_text", lambda path: "")
    assert machine.features() == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems tell it otherwise")
def test_the_peak_is_that_of_the_process_alone():
    held = bytearray(200 * 2**20)
    assert machine.memory_now() >= len(held)
    assert machine.peak_memory() >= len(held)
    program = "from kerasbook.machine import peak_memory; print(peak_memory())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 2**20 < int(done.stdout) < 100 * 2**20


FROM_AN_INDEX = re.compile(r"pip install[^\n`]*[ '\"]kerasbook(?!-[\d{]| @|/|\.)|\bkerasbook==\d")


def test_no_advice_names_a_package_that_is_on_no_index():
    for advice in ("pip install 'kerasbook[gpu]'", "pip install kerasbook", "as kerasbook==0.1.0"):
        assert FROM_AN_INDEX.search(advice)
    assert not FROM_AN_INDEX.search("pip install kerasbook-0.1.0-py3-none-any.whl")
    root = contents.PACKAGE.parent
    texts = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("chapters/*.ipynb")]
    for path in [*texts, *contents.PACKAGE.rglob("*.py")]:
        found = FROM_AN_INDEX.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path}: {found[0]}"
    assert "python -m pip install '.[gpu]'" in machine.NO_GPU
