"""The documents' figures are those of the files that the programs wrote."""

import importlib.util
import json
import sys
from pathlib import Path

from kerasbook import contents

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    loaded = {}
    for name in ("make_results", "make_bench_table", "make_ledger_summary", "join_gpu_check"):
        spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
        loaded[name] = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, loaded[name])
        spec.loader.exec_module(loaded[name])
    return loaded


@pytest.mark.parametrize(
    ("name", "document"),
    [("make_results", "README.md"), ("make_ledger_summary", "docs/proofs.md")],
)
def test_a_table_is_made_from_the_measurements(tools, name, document):
    tool = tools[name]
    assert tool.table(json.loads(tool.RESULTS.read_text())) in (ROOT / document).read_text()


def test_the_tables_of_speeds_are_made_from_the_measurements(tools):
    tool = tools["make_bench_table"]
    for (document, name), text in tool.tables(json.loads(tool.RESULTS.read_text())).items():
        assert f"-->\n{text}\n<!-- end of {name} -->" in (ROOT / document).read_text(), name


def test_what_a_gpu_check_has_found_is_one_file(tools, tmp_path):
    tests, bench = tmp_path / "tests.xml", tmp_path / "bench.json"
    tests.write_text(
        '<testsuites><testsuite><testcase name="a"/>'
        '<testcase name="b"><failure message="no&#10;x"/></testcase>'
        '<testcase name="c"><skipped message="no GPU"/></testcase></testsuite>'
        "</testsuites>"
    )
    found = tools["join_gpu_check"].join(tests, bench)
    assert found == {"tests": {"passed": 1, "skipped": 1, "failed": {"b": "no"}}, "bench": None}
    bench.write_text('{"rows": {}}')
    assert tools["join_gpu_check"].join(tests, bench)["bench"] == {"rows": {}}


def test_a_processor_is_said_to_be_ahead_only_where_it_was(tools):
    tool = tools["make_bench_table"]
    rows = {
        f"chapter{n}": {
            "title": f"{n}: a model", "counts": True,
            "ratios": {"fit": [2.0], "torch": [ratio]}, "milliseconds_per_step": {},
        } for n, ratio in ((1, 3.0), (5, 0.9))
    }  # fmt: skip
    line = tool.ahead({"rows": rows, "processor": "A chip"})
    assert "(A chip)" in line
    assert "in every chapter's row beside `model.fit`;" in line
    assert line.endswith("not beside PyTorch in 5.")


def test_a_band_is_the_mean_and_three_standard_deviations(tools):
    summary = tools["make_results"].summary("r2", [1.0, 2.0, 3.0])
    assert (summary["mean"], summary["sd"]) == (2.0, 1.0)
    assert summary["band"] == [-1.0, 5.0]


@pytest.mark.parametrize(
    ("metric", "values", "band"),
    [
        ("accuracy", [0.9, 0.95, 1.0], [0.8, 1.0]),
        ("loss", [1.0, 2.0, 3.0], [0.0, 5.0]),
        ("beam_phoneme_error", [0.1, 0.2, 0.3], [0.0, 0.5]),
    ],
)
def test_a_band_is_written_without_what_the_score_cannot_be(tools, metric, values, band):
    assert tools["make_results"].summary(metric, values)["band"] == pytest.approx(band)


def test_the_bands_of_results_json_hold_no_more_than_the_scores_can_be(tools):
    results = json.loads(tools["make_results"].RESULTS.read_text())
    entries = [entry for page in results.values() for entry in page.values()]
    for part in (part for entry in entries for part in entry.get("scores", {}).values()):
        for metric, score in part.items():
            assert score["band"] == contents.possible(metric, score["band"]), metric


def test_the_ledgers_summary_counts_claims_and_keeps_the_largest_differences(tools):
    def row(chapter, green, relative):
        kinds = {"values": {"relative": relative}, "slopes": {"relative": 10 * relative}}
        return {"chapter": chapter, "green": green, "float64": kinds}

    mutants = {chapter: {"planted": 3, "caught": 2} for chapter in ("loop", "chapter1")}
    rows = [row("chapter1", True, 1e-12), row("chapter1", False, 1e-3)]
    rows.append(row("loop", True, 0.0))
    tool = tools["make_ledger_summary"]
    found = tool.summary(rows, mutants)
    assert found["chapter1"] == {
        **{"claims": 2, "green": 1, "float64": 1e-3, "slopes": 1e-2},
        **{"planted": 3, "caught": 2},
    }
    *_, chapter, loop = tool.table(found).splitlines()
    assert chapter == "| 1. Linear regression | 1 of 2 | – | 1e-03 | 1e-02 | 2 of 3 |"
    assert loop.startswith("| the loop | 1 of 1 |")
