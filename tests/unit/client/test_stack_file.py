from __future__ import annotations

from gateway.client.stack_file import default_home


def test_the_home_of_the_default_stack_follows_the_data_directory() -> None:
    assert default_home({"XDG_DATA_HOME": "/data"}).endswith("tracking-gateway")
