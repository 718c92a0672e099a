"""Conversation: the driver of one agent over ACP, control, hand-off, resume.

`supervisor.Sessions` is the room's door. Each session that has work has one `actor.Actor` and one task; a session
without work is a row. The log is written before any face shows a thing, and what is resumed is read from it.
"""
