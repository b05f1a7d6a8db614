"""Execute the notebooks in examples/ and save them with their outputs.

python scripts/run_notebooks.py
python scripts/run_notebooks.py examples/01_first_steps.ipynb
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
# Seconds for a cell: the longest trains.
TIMEOUT = 3600
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs that it has now, run in its folder by the Python that runs this.

    Error messages of other programs (stderr) and colours are left out; an exception in a cell is raised.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.create_kernel_manager()
    assert client.km is not None
    # The kernel that is installed under this name may be that of another environment.
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if output.output_type == "stream":
                    output.text = _COLOURS.sub("", output.text)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(EXAMPLES.glob("*.ipynb")))
    for path in parser.parse_args().notebooks:
        print(path.name, flush=True)
        nbformat.write(execute(path), path)


if __name__ == "__main__":
    if sys.platform == "win32":  # the loop that sockets of Jupyter need
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    main()
