"""Policy: answers allow, ask or deny to what an agent wants to do.

A courtesy on top of the walls, never instead of them.
"""
