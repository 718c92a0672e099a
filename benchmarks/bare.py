"""The bare loop: what a step costs when nothing is around it.

The whole history goes to the model each time (Anthropic Messages, streamed, over one kept connection), the command runs
through `sh -c`, each event is one commit into SQLite (WAL, synchronous NORMAL). No walls, no protocol, no gateway. Run
as a program: `python -m benchmarks.bare URL PROMPT-FILE DATABASE`.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOOL = {
    "name": "shell",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
}
EVENTS_A_STEP = 3
"""what Handrail's log keeps of such a step: the model call, the tool call, its end"""


def main(url: str, prompt: str, database: Path) -> None:
    """Work until the model calls no tool any more."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
    log = sqlite3.connect(database, isolation_level=None)
    log.execute("PRAGMA journal_mode=WAL")
    log.execute("PRAGMA synchronous=NORMAL")
    log.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT, data TEXT)")
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    while True:
        content = _ask(connection, messages)
        messages.append({"role": "assistant", "content": content})
        _keep(log, "model", {"blocks": len(content)})
        calls = [block for block in content if block["type"] == "tool_use"]
        if not calls:
            return
        results = []
        for call in calls:
            _keep(log, "tool.started", call)
            done = subprocess.run(["sh", "-c", call["input"]["command"]], capture_output=True, check=False)
            output = done.stdout.decode("utf-8", "replace")
            _keep(log, "tool.ended", {"code": done.returncode, "output": output})
            results.append({"type": "tool_result", "tool_use_id": call["id"], "content": output or "(no output)"})
        messages.append({"role": "user", "content": results})


def _ask(connection: http.client.HTTPConnection, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "stream": True, "tools": [TOOL], "messages": messages}
    headers = {"content-type": "application/json", "x-api-key": "bare", "anthropic-version": "2023-06-01"}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    response = connection.getresponse()
    content: list[dict[str, Any]] = []
    arguments = ""
    for line in response:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "content_block_start":
            content.append(event["content_block"])
            arguments = ""
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "input_json_delta":
                arguments += delta["partial_json"]
            elif delta["type"] == "text_delta":
                content[-1]["text"] += delta["text"]
        elif event["type"] == "content_block_stop" and content[-1]["type"] == "tool_use":
            content[-1]["input"] = json.loads(arguments or "{}")
    return content


def _keep(log: sqlite3.Connection, kind: str, data: dict[str, Any]) -> None:
    log.execute("INSERT INTO events (kind, data) VALUES (?, ?)", (kind, json.dumps(data)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).read_text("utf-8"), Path(sys.argv[3]))
