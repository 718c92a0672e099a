"""A model provider that answers by script, in the real wire formats. It runs in process or as a program.

In a test:

    async with FakeProvider() as fake:
        …  # point an agent or the gateway at fake.url; read fake.calls afterwards

As a program: `python -m tests.fake_provider --port 0 [--unix PATH] [--log FILE]` prints its URL.

**The script** stands in the prompt, so that nothing has to be set up beside it: the newest text of a request that holds
`@@[ … ]@@` is a JSON list of steps. Each model call is answered with the step whose number is the count of rounds
(turns of the assistant) after that text; past the last step the answer is "done". `script.prompt([...])` writes one.

| step | answer |
| --- | --- |
| `{"text": "…", "chunks"?: n, "delay"?: s}` | text in n pieces, `delay` seconds before each |
| `{"think": "…"}` | thinking; alone it joins the next step |
| `{"tool": NAME, "args": {…}}` | a call of that tool, as named by the agent (`"namespace"` for Codex's MCP tools) |
| `{"shell": "cmd"}` `{"read": path}` `{"search": text}` | the same by meaning: in the agent's own words |
| `{"write": {"path", "content"}}` `{"edit": {"path", "old", "new"}}` | likewise |
| `{"tools": [step, …]}` | several calls at once |
| `{"repeat": n, "step": {…}}` or `"steps": […]` | n times, `{i}` in strings is the number from 0 |
| `{"fault": NAME, "times"?: n, "retry_after"?: s, "text"?: "…"}` | see `FAULTS`; without `times` for ever |

Text, thinking and calls may stand in one step; `"usage": {"input", "output", "cached", "cache_write", "reasoning"}` and
`"model"` override what the answer says of itself. A fault's `times` are counted over all sessions with the same script
text: put something unique into each. Calls without tools or script (titles, classifiers) get a short harmless text, or
JSON that fits the schema they ask for, and spend nothing of a script.
"""

from __future__ import annotations

from tests.fake_provider.script import FAULTS, prompt
from tests.fake_provider.server import Call, FakeProvider

__all__ = ["FAULTS", "Call", "FakeProvider", "prompt"]
