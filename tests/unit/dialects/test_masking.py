"""What is masked in the configuration of a pipeline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.dialects.masking import mask_config


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"variables": {"db_password": "x", "name": "x"}}, {"variables": {"db_password": "***", "name": "x"}}),
        ({"secrets_handler": {"service_name": "do-nothing"}}, {"secrets_handler": {"service_name": "do-nothing"}}),
        ({"api_keys": ["x", "y"], "token": ""}, {"api_keys": ["***", "***"], "token": ""}),
        ({"server_url": "https://u:x@host/?a=1"}, {"server_url": "https://***@host/?a=1"}),
        ({"command": "export API_TOKEN=x && run --password x -n 1"},
         {"command": "export API_TOKEN=*** && run --password *** -n 1"}),
        ({"description": "one\ntwo  three", "secret": False}, {"description": "one\ntwo  three", "secret": False}),
        ({"command": "run --token\tX -n 1 \\\n --password \\\n X"},
         {"command": "run --token\t*** -n 1 \\\n --password \\\n ***"}),
        ({"command": "curl -H 'Authorization: Bearer X' https://h"}, {"command": "curl -H 'Authorization:*** https://h"}),
        ({"command": 'run --password "X X" -n 1'}, {"command": "run --password *** -n 1"}),
        ({"command": 'sh -c "run --password X -n 1"'}, {"command": 'sh -c "run --password *** -n 1"'}),
        ({"text": 'token: Bearer X\nname: x'}, {"text": "token:*** *** ***\nname: x"}),
        ({"text": '{"password": "X", "n": 1}'}, {"text": '{"password":*** *** "n": 1}'}),
        ({"command": "x " * 5_000 + "--token X"}, {"command": "x " * 5_000 + "--token ***"}),
        ({"text": "x" * 5_000}, {"text": "x" * 5_000}),
    ],
)  # fmt: skip
def test_secrets_in_a_configuration_are_masked(given: Any, expected: Any) -> None:
    assert mask_config(given) == expected


def test_secrets_of_services_are_masked_in_a_configuration() -> None:
    config: dict[str, Any] = {
        "catalog": {"service_name": "minio", "secret_access_key": "X", "access_key": "X", "bucket": "b"},
        "secrets": {"service_name": "dotenv", "location": ".env", "secrets": {"A": "X"}},
        "dag": {
            "nodes": {"a": {"secrets": ["NAME"], "command": "curl https://me:X@host/p --token X"}},
            "n": [1, None, True],
        },
        "password": "",
    }

    masked = mask_config(config)

    assert "X" not in json.dumps(masked).replace("***", "")
    assert masked["catalog"] == {
        "service_name": "minio",
        "secret_access_key": "***",
        "access_key": "***",
        "bucket": "b",
    }
    assert masked["secrets"]["location"] == ".env"
    assert masked["dag"]["nodes"]["a"] == {"secrets": ["NAME"], "command": "curl https://***@host/p --token ***"}
    assert (masked["dag"]["n"], masked["password"]) == ([1, None, True], "")
