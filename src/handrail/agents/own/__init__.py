"""Handrail's own agent: a small loop of model and tools that speaks the Agent Client Protocol over stdio.

It runs as a process of its own (`python -m handrail.agents.own`, `handrail agent`), is told everything by its
environment (`settings`), and imports neither the server nor the ACP SDK: what it costs to start is what a person waits
for. Threads instead of asyncio for the same reason: one reads stdin, one a turn works; no more are ever needed.

The way of a turn: `server` (ACP) → `session` (what is shown and asked, and the loop) → `memory` (remembers each step
before it is shown, and makes the request) → `model` (HTTP, retries) → `wires` (four formats) → `tools`, `shell`, `mcp`.
JSON-RPC and HTTP are spoken by parts that the MCP bridge shares (`agents/rpc.py`, `agents/door.py`).
A message is one value in all of them, and a tool call carries its result. What a running session knows and what it
would know after a crash are made of the same records by the same code. What the model is told stands in `rules.md`,
`tools.json` and `summarise.md`.
"""
