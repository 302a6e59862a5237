"""Input files of `resolve`."""

import pytest

from multibuild.errors import UsageError
from multibuild.resolve.kubernetes import read_cluster_nodes
from multibuild.resolve.resolve import read_index

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize("read", [read_index, read_cluster_nodes])
@pytest.mark.parametrize("content", [DEEP, b"", b"[]", b"7", b"\xff"])
def test_an_invalid_file_is_an_error_with_its_name(read, content):
    with pytest.raises(UsageError, match="the-file"):
        read(content, "the-file")
