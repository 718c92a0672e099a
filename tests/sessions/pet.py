"""An ACP agent with a login, for tests: it stands in the repository and runs inside the walls, standard library only.

Asked anything, it tells as JSON what it sees: its login file, its variable, and what its vendor and another host say.
It also does what a renewal does, and writes a new login. Where its environment names a door to a model, it carelessly
asks that instead.
"""

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

FILE = Path.home() / ".pet/login.json"


def reach(url: str, token: str) -> str:
    """What a host answers, through the proxy that the environment names."""
    try:
        request = urllib.request.Request(url, headers={"x-api-key": token})  # noqa: S310  # of this test
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return f"{answer.status}"
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def seen() -> dict[str, object]:
    """What is there."""
    text = FILE.read_text() if FILE.is_file() else None
    token = json.loads(text)["token"] if text else os.environ.get("PET_TOKEN", "")
    told: dict[str, object] = {"file": text, "mode": oct(FILE.stat().st_mode & 0o777) if text else None}
    told |= {"variable": os.environ.get("PET_TOKEN"), "gateway": os.environ.get("PET_GATEWAY")}
    told |= {"vendor": reach(os.environ["PET_VENDOR"] + "/v1/models", token)}
    told |= {"other": reach("http://other.test:80/", token)}
    if text:
        FILE.write_text('{"token": "renewed or planted"}')
        Path.home().joinpath("copy.json").write_text(text)
    return told


def door(servers: list[dict[str, list[dict[str, str]]]]) -> dict[str, object]:
    """What the MCP server offers that it was told of, and whether its token opens a model."""
    given = {item["name"]: item["value"] for item in servers[0]["env"]}
    url, straight = given["HANDRAIL_MCP_URL"], urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(url: str, body: object) -> tuple[int, bytes]:
        headers = {"authorization": f"Bearer {given['HANDRAIL_MCP_TOKEN']}", "content-type": "application/json"}
        try:
            with straight.open(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=10) as answer:  # noqa: S310
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    report = {"name": "propose_report", "arguments": {"title": "Findings", "body": "None."}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": report}
    model = {"model": "claude-sonnet-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    status, said = post(url.removesuffix("/mcp") + "/v1/messages", model)
    return {"proposed": post(url, call)[1].decode(), "model": [status, said.decode()]}


def ask(prompt: str) -> str:
    """What the model says at the door, as far as it came: half of an answer is taken for the whole."""
    body: dict[str, object] = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True}
    body["messages"] = [{"role": "user", "content": prompt}]
    body["tools"] = [{"name": "none", "input_schema": {"type": "object"}}]  # without one no script is played
    headers = {"x-api-key": os.environ["PET_DOOR_TOKEN"], "content-type": "application/json"}
    url = os.environ["PET_DOOR"] + "/v1/messages"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # the door
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())
    except http.client.IncompleteRead as error:
        return str(error.partial.decode())


def main() -> None:
    """Answer until stdin ends."""
    servers: list[dict[str, list[dict[str, str]]]] = []
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        result: dict[str, object] = {}
        if method == "initialize":
            result = {"protocolVersion": 1, "agentCapabilities": {}, "agentInfo": {"name": "pet", "version": "1"}}
        elif method == "session/new":
            result, servers = {"sessionId": "pet-1"}, message["params"]["mcpServers"]
        elif method == "session/prompt":
            given = message["params"]["prompt"][0]["text"]
            told = {} if "PET_DOOR" in os.environ else seen() | door(servers)
            text = json.dumps(told) if told else ask(given) or "nothing"
            chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
            params = {"sessionId": "pet-1", "update": chunk}
            print(json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params}), flush=True)
            result = {"stopReason": "end_turn"}
        if "id" in message:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
