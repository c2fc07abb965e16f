"""The inbox as people see it: one page, escaped here and nowhere else, that asks for nothing but itself."""

import html
from collections.abc import Iterable
from pathlib import Path
from string import Template

from sandbox.inbox import SMS, Message

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
ITEM = Template(
    '<li id="$id" class="message">'
    '<p class="meta"><span class="channel $channel">$label</span>'
    '<span class="to" dir="auto">$to</span><time datetime="$received_at">$received_at</time></p>'
    '$subject<p class="body" dir="auto">$body</p>'
    '<p class="origin"><span>from <span dir="auto">$sender</span></span>$reference</p></li>'
)


def render(messages: Iterable[Message], nonce: str) -> str:
    """Return the page; `nonce` marks its own style and script."""
    return PAGE.substitute(nonce=html.escape(nonce), items=items(messages))


def items(messages: Iterable[Message]) -> str:
    """Return one list item for each message."""
    return "".join(_item(message) for message in messages)


def headers(nonce: str) -> dict[str, str]:
    """Return what keeps a message from being anything but text, even if its escaping failed."""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _item(message: Message) -> str:
    fields = {name: html.escape(value) for name, value in message.document().items()}
    subject, reference = fields["subject"], fields["reference"]
    return ITEM.substitute(
        fields,
        label="SMS" if message.channel == SMS else "E-mail",
        sender=fields["from"],
        subject=f'<h2 dir="auto">{subject}</h2>' if subject else "",
        reference=f'<span class="reference">{reference}</span>' if reference else "",
    )
