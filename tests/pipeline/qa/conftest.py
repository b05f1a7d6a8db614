"""The component under test."""

import pytest

from tests.util import restored


@pytest.fixture
def pipe(nlp):
    """The component; settings that a test changes are restored."""
    with restored(nlp.get_pipe("luke_qa")) as pipe:
        yield pipe
