"""Who people are: members, their roles, and the browsers in which they are signed in.

`roll.Roll` is the room's door. The person of this machine is `YOU` and needs no row. A way to sign in (a link now) ends
in `Roll.sign_in`, whatever proved who it is.
"""

from __future__ import annotations

YOU = "you"
"""the person whose machine and data directory this is"""
