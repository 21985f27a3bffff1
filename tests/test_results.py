"""The README's figures are those of the files that the programs wrote."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    loaded = {}
    for name in ("make_results", "make_bench_table"):
        spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
        loaded[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded[name])
        spec.loader.exec_module(loaded[name])
    return loaded


@pytest.mark.parametrize("name", ["make_results", "make_bench_table"])
def test_the_tables_of_the_readme_are_made_from_the_measurements(tools, name):
    tool = tools[name]
    assert tool.table(json.loads(tool.RESULTS.read_text())) in (ROOT / "README.md").read_text()


def test_a_band_is_the_mean_and_three_standard_deviations(tools):
    summary = tools["make_results"].summary([1.0, 2.0, 3.0])
    assert (summary["mean"], summary["sd"]) == (2.0, 1.0)
    assert summary["band"] == [-1.0, 5.0]
