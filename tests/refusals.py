"""What a test expects of an error: its type, and the file, row, option or value that its message names."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def raises_naming(
    error: type[BaseException] | tuple[type[BaseException], ...], *names: str
) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """Expect an error in this block whose message holds all these names, whatever else it says."""
    with pytest.raises(error) as caught:
        yield caught
    for name in names:
        assert name in str(caught.value)
