"""E-mail by SMTP (RFC 5321), with aiosmtplib of the extra `notify`."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from handrail.errors import InvalidInput
from handrail.notify import Failure, Message

_PATIENCE = 20.0
SECURITY = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True, repr=False)
class Email:
    """A mail server and who is written to."""

    host: str
    sender: str
    to: tuple[str, ...]
    port: int = 587
    security: str = "starttls"
    """starttls, tls (from the first byte, usually port 465), or none"""
    user: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        if self.security not in SECURITY:
            raise InvalidInput("security", self.security, f"choose one of {', '.join(SECURITY)}")
        if not 0 < self.port < 1 << 16:
            raise InvalidInput("port", self.port, "give a number from 1 to 65535")
        if not self.to:
            raise InvalidInput("to", list(self.to), "name at least one address")
        for field, address in (("sender", self.sender), *(("to", address) for address in self.to)):
            try:
                Address(addr_spec=address)
            except (MessageError, ValueError, IndexError) as error:
                raise InvalidInput(field, address, "give an address such as alice@example.com") from error

    async def send(self, message: Message) -> Failure | None:
        """See `Channel.send`."""
        try:
            refused, _ = await aiosmtplib.send(
                self.letter(message),
                hostname=self.host,
                port=self.port,
                username=self.user or None,
                password=self.password or None,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                timeout=_PATIENCE,
            )
        except aiosmtplib.SMTPResponseException as error:
            # RFC 5321 section 4.2.1: 5yz lasts, 4yz passes
            return Failure(f"{self.host} answered {error.code}: {error.message[:300]}", lasting=error.code >= 500)
        except aiosmtplib.SMTPRecipientsRefused as error:
            lasting = all(item.code >= 500 for item in error.recipients)
            return Failure(f"{self.host} refused every address", lasting=lasting)
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPReadTimeoutError) as error:
            return Failure(f"{self.host} gave no answer: {str(error)[:300] or type(error).__name__}", unsure=True)
        except (aiosmtplib.SMTPException, ssl.SSLError, OSError) as error:
            return Failure(f"{self.host} could not be used: {str(error)[:300] or type(error).__name__}")
        if refused:  # the others have it: another try would send it to them twice
            return Failure(f"{self.host} refused {', '.join(refused)}", lasting=True)
        return None

    def letter(self, message: Message) -> EmailMessage:
        """The message as plain text: nothing in it can hide where a link leads."""
        letter = EmailMessage()
        letter["From"] = self.sender
        letter["To"] = ", ".join(self.to)
        letter["Subject"] = message.subject
        letter["Date"] = format_datetime(message.time)
        letter["Message-ID"] = f"<{message.id}@handrail.invalid>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
        if message.urgent:
            letter["Importance"] = "high"
        parts = [message.text]
        if message.allow is not None and message.deny is not None:
            parts.append(f"Allow: {message.allow}\n\nDeny: {message.deny}")
            parts.append("Each link opens a page that asks once more. It answers for you: pass it on to nobody.")
        parts.append(f"Session: {message.page}")
        letter.set_content("\n\n".join(part for part in parts if part) + "\n")
        return letter
