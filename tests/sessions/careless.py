"""An ACP agent that takes half of a model's answer for the whole, for tests: standard library only, as `pet` is."""

import http.client
import json
import os
import sys
import urllib.request


def ask(prompt: str) -> str:
    """What the model says to it, as far as it came."""
    body: dict[str, object] = {"model": "claude-sonnet-4-5", "max_tokens": 100, "stream": True}
    body["messages"] = [{"role": "user", "content": prompt}]
    body["tools"] = [{"name": "none", "input_schema": {"type": "object"}}]  # without one no script is played
    headers = {"x-api-key": os.environ["CARELESS_TOKEN"], "content-type": "application/json"}
    url = os.environ["CARELESS_URL"] + "/v1/messages"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # the door
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return str(answer.read().decode())
    except http.client.IncompleteRead as error:
        return str(error.partial.decode())


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        result: dict[str, object] = {}
        if method == "initialize":
            result = {"protocolVersion": 1, "agentCapabilities": {}, "agentInfo": {"name": "careless", "version": "1"}}
        elif method == "session/new":
            result = {"sessionId": "careless-1"}
        elif method == "session/prompt":
            text = ask(message["params"]["prompt"][0]["text"])
            chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text or "nothing"}}
            params = {"sessionId": "careless-1", "update": chunk}
            print(json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": params}), flush=True)
            result = {"stopReason": "end_turn"}
        if "id" in message:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
