"""The desktop of the machine that the server runs on, by `notify-send` (freedesktop.org notifications)."""

from __future__ import annotations

import asyncio
import html
import os
import shutil
from dataclasses import dataclass

from handrail.notify import Failure, Message

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Desktop:
    """`notify-send`, found on the server's PATH unless `command` says otherwise."""

    command: str = "notify-send"

    async def send(self, message: Message) -> Failure | None:
        """See `Channel.send`."""
        program = shutil.which(self.command)
        if program is None:
            return Failure(f"{self.command} is not installed (Debian: apt install libnotify-bin)", lasting=True)
        body = "\n".join(part for part in (message.text, message.page) if part)
        process = await asyncio.create_subprocess_exec(
            program,
            f"--urgency={'critical' if message.urgent else 'normal'}",
            *("--app-name=Handrail", "--", message.subject, html.escape(body)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ},
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return Failure(f"{self.command} did not end within {_PATIENCE:.0f} s")
        if process.returncode:
            words = said.decode("utf-8", "replace").strip() or f"exit status {process.returncode}"
            return Failure(f"{self.command}: {words[-300:]}")
        return None
