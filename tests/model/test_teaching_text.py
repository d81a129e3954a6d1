"""transformer.py is read from top to bottom by someone who has watched one lecture: it stays short and plain."""

import ast
import inspect
import sys

from ahx.model import transformer


def test_the_transformer_fits_on_a_few_pages():
    assert len(inspect.getsource(transformer).splitlines()) <= 200


def test_the_transformer_needs_torch_its_configuration_positions_and_the_fast_path():
    imported = set()
    for node in ast.walk(ast.parse(inspect.getsource(transformer))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or ".")
    others = {name for name in imported if name.partition(".")[0] not in {"torch", *sys.stdlib_module_names}}
    assert {name.removeprefix("ahx.model.").partition(".")[0] for name in others} == {
        "config",
        "fast_path",
        "positions",
    }
