"""Names of timm's networks and weights, without importing timm, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

REGISTERED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
TAGGED = re.compile(r"""['"](\w+)\.([\w.-]+)\*?['"]\s*:""")  # a key of the configurations of weights
DECORATOR = re.compile(r"^@register_model\b", re.MULTILINE)
LEAST = 500  # names; timm 1.0 has more than a thousand, so that fewer mean that it registers them in another way


@cache
def timm_names() -> Mapping[str, set[str]]:
    """Return timm's networks with tags of their weights, from the text of its modules; none if it looks different.

    A network is a function under the decorator ``register_model``, whose name is the network's. Tags are the parts
    after the point in the keys of the dictionaries beside it. Some of them have no weights, and a few tags are missing:
    those that timm puts together from parts.
    """
    timm = find_spec("timm")
    folder = Path(timm.origin).parent / "models" if timm and timm.origin else Path("nowhere")
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in sorted(folder.glob("*.py"))]
    names: dict[str, set[str]] = {name: set() for text in texts for name in REGISTERED.findall(text)}
    for arch, tag in (found for text in texts for found in TAGGED.findall(text)):
        if arch in names:
            names[arch].add(tag)
    understood = len(names) == sum(len(DECORATOR.findall(text)) for text in texts)
    return names if understood and len(names) >= LEAST else {}
