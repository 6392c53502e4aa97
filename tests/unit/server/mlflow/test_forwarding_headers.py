"""Which headers pass the door on the way to MLflow's server and back."""

from __future__ import annotations

from gateway.server.mlflow.forwarding.headers import to_client, to_server


def test_what_belongs_to_a_connection_or_to_the_door_stays_behind() -> None:
    given = [
        ("Host", "door:5001"), ("Authorization", "Bearer hunter2"), ("Origin", "http://door:5001"),
        ("Connection", "close, X-Of-This-Hop"), ("X-Of-This-Hop", "1"), ("Transfer-Encoding", "chunked"),
        ("Content-Type", "application/json"), ("Cookie", "a=b; gateway_session=v1.x.y"), ("Accept", "text/html"),
    ]  # fmt: skip

    assert to_server(given) == [("Content-Type", "application/json"), ("Cookie", "a=b"), ("Accept", "text/html")]
    assert to_server([("cookie", "gateway_session=v1.x.y")]) == []


def test_an_answer_keeps_its_length_its_encoding_and_headers_that_repeat() -> None:
    kept = [("content-length", "3"), ("content-encoding", "gzip"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]

    assert (
        to_client([*kept, ("keep-alive", "timeout=5"), ("server", "uvicorn"), ("date", "today")], "http://localhost")
        == kept
    )


def test_a_redirect_within_the_server_stays_within_the_door() -> None:
    inner, other = "http://localhost/api/2.0/x?y=1", "http://localhost.example/x"

    assert to_client([("Location", inner)], "http://localhost") == [("Location", "/api/2.0/x?y=1")]
    assert to_client([("Location", other)], "http://localhost") == [("Location", other)]
