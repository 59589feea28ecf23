import sys
from collections.abc import Iterator

import pytest


@pytest.fixture
def imports() -> Iterator[None]:
    """Forget afterwards what a test imported from folders of its own."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    gone = set(sys.path) - set(path)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if any(str(getattr(sys.modules[name], "__file__", None)).startswith(folder) for folder in gone):
            del sys.modules[name]
