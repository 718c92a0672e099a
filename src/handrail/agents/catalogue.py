"""The catalogue: what Handrail knows of each agent."""

from __future__ import annotations

from handrail.agents.spec import AgentSpec

__all__ = ["AgentSpec"]
