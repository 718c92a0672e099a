"""x"""
from __future__ import annotations
from dataclasses import dataclass
from handrail.sandbox import Guarantee
@dataclass(frozen=True, slots=True)
class Report:
    guarantee: Guarantee
async def measure(backend: object, hierarchy: object) -> Report:
    raise NotImplementedError
