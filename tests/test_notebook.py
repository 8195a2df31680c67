"""The notebook is executed, small."""

from pathlib import Path

import pytest

WITHOUT = """
import importlib.util
importlib.util.find_spec = lambda name: None
get_ipython().register_magic_function(lambda line: print("pip", line), "line", "pip")
"""
NOTEBOOK = Path(__file__).parent.parent / "examples" / "impasto.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of jupyter's own event loops are not ours
def test_the_notebook_runs_from_top_to_bottom():
    nbformat = pytest.importorskip("nbformat", reason="the extra test is not installed")
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)]
    setup = notebook.cells[2]
    assert "SIZE = 512" in setup.source
    setup.source = setup.source.replace("SIZE = 512", "SIZE = 64")
    NotebookClient(notebook, timeout=1800, kernel_name="python3").execute()
    outputs = [list(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    pictures = [any("image/png" in output.get("data", {}) for output in cell) for cell in outputs]
    assert pictures == [False, False, True, True, True, False]
    printed = "".join(output["text"] for output in outputs[-1])
    assert [line.split()[0] for line in printed.splitlines()] == ["20", "50", "80"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("beside", [None, "impasto-0.1.0-py3-none-any.whl", "impasto-main.zip"])
def test_the_notebook_installs_what_lies_beside_it_or_is_on_the_index(tmp_path: Path, beside: str | None):
    nbformat = pytest.importorskip("nbformat", reason="the extra test is not installed")
    from nbclient import NotebookClient

    if beside:
        (tmp_path / beside).touch()
    install = nbformat.read(NOTEBOOK, as_version=4).cells[1]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WITHOUT), install])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources).execute()
    source = f"./{beside}" if beside else "impasto"
    assert install.outputs[0]["text"] == f'pip install --quiet "{source}[samples]"\n'
