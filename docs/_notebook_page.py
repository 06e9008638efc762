"""Makes a page of the site from docs/notebook.ipynb: a hook of mkdocs, which needs nothing but it.

mkdocs-jupyter was tried: its page has 0.8 MB and loads scripts from other hosts, and 47 packages come with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parent / "notebook.ipynb"
PAGE = "notebook.md"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
STYLE = "overflow-x:auto;margin-bottom:1em"


def on_files(files: Any, config: Any) -> Any:
    """Add the page to the files of the site."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=page(_cells())))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let links to the notebook lead to its page; on GitHub, which shows notebooks, they lead to the file."""
    return re.sub(r"\((\.\./)?notebook\.ipynb\)", r"(\1notebook.md)", markdown)


def on_page_content(html: str, page: Any, **_: object) -> str:
    """Put outputs that are HTML in their places, which Markdown would change."""
    if page.file.src_uri == PAGE:
        for place, shown in _shown_as_html(_cells()):
            html = html.replace(f"<p>{place}</p>", f'<div style="{STYLE}">{shown}</div>')
    return html


def page(cells: list[dict[str, Any]]) -> str:
    """Return the page: text as it is, code as blocks, and what it shows below."""
    return "\n".join(part for number, cell in enumerate(cells) for part in _parts(number, cell))


def _parts(number: int, cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield f"{source}\n"
        return
    yield f"```python\n{source}\n```\n"
    for place, output in enumerate(cell["outputs"]):
        yield f"{_place(number, place)}\n" if _html(output) else f"```text\n{_text(output)}\n```\n"


def _shown_as_html(cells: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for number, cell in enumerate(cells):
        for place, output in enumerate(cell.get("outputs", [])):
            if html := _html(output):
                yield _place(number, place), html


def _place(cell: int, output: int) -> str:
    return f"output-{cell}-{output}-of-the-notebook"


def _html(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    picture = "".join(data.get("image/png", "")).replace("\n", "")
    return f'<img alt="what the cell draws" src="data:image/png;base64,{picture}">' if picture else ""


def _text(output: dict[str, Any]) -> str:
    lines = output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
    return COLOURS.sub("", "".join(lines)).strip("\n")


def _cells() -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return cells
