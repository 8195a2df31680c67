"""The notebook is executed, small."""

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples" / "impasto.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of jupyter's own event loops are not ours
def test_the_notebook_runs_from_top_to_bottom():
    nbformat = pytest.importorskip("nbformat", reason="the extra test is not installed")
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    setup = notebook.cells[1]
    assert "SIZE = 512" in setup.source
    setup.source = setup.source.replace("SIZE = 512", "SIZE = 64")
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    outputs = [list(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [any("image/png" in output.get("data", {}) for output in cell) for cell in outputs]
    assert pictures == [False, True, True, True, False]
    printed = "".join(output["text"] for output in outputs[-1])
    assert [line.split()[0] for line in printed.splitlines()] == ["20", "50", "80"]
