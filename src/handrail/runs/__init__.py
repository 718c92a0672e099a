"""The durable course of a run and its tasks. Nothing above this room knows what carries it."""
