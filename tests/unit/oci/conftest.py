import pytest
from fakes.registry_server import FakeRegistry


@pytest.fixture
def fake():
    with FakeRegistry() as registry:
        yield registry
