"""Handrail runs coding agents hands-on, handed off and unattended, inside the same walls."""

__version__ = "0.1.0"
