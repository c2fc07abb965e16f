"""What one ciphertext of sops looks like from outside, and how to recognise a made-up one.

The format is that of sops' aes/cipher.go: AES-256-GCM with a nonce of 32 bytes and a tag of 16. Every base64 here
is canonical: the bits that a last character has to spare are zero, so each ciphertext has exactly one text.
"""

import binascii
import string

_B64 = rb"[A-Za-z0-9+/]"
LAST_OF_32 = rb"[AEIMQUYcgkosw048]"  # the last character of 32 bytes, two bits to spare
LAST_OF_16 = rb"[AQgw]"  # the last character of 16 bytes, four bits to spare
_DATA = rb"(?:%b{4})*(?:%b{4}|%b{2}%b=|%b%b==)" % (_B64, _B64, _B64, LAST_OF_32, _B64, LAST_OF_16)
_IV = rb"%b{42}%b=" % (_B64, LAST_OF_32)
_TAG = rb"%b{21}%b==" % (_B64, LAST_OF_16)
# One group each for data, iv and tag; the type is added at the end.
PATTERN = rb"ENC\[AES256_GCM,data:(%b),iv:(%b),tag:(%b),type:" % (_DATA, _IV, _TAG)

# A chance below which bytes that look like text are not taken for random: of honest values as short as eight
# characters one in 2,800 looks so, of those of twenty one in 400 million.
UNLIKELY = 1e-3
_ALPHABETS = tuple(
    frozenset(letters.encode())
    for letters in (
        string.digits,
        string.ascii_lowercase,
        string.ascii_uppercase,
        string.ascii_letters + string.digits,
        string.printable,
    )
)
_UTF8 = 0.45  # the chance, per byte, that random bytes are printable UTF-8
_FEW = 8  # different bytes; 16 random ones have fewer once in 10^11


def made_up(data: bytes) -> bool:
    """Whether bytes that should look random read like text, or repeat themselves."""
    if len(data) >= 2 * _FEW and len(set(data)) < _FEW:
        return True
    if data.isascii():
        return any((len(some) / 256) ** len(data) < UNLIKELY and some.issuperset(data) for some in _ALPHABETS)
    # What is not UTF-8 becomes surrogates, which are not printable.
    return _UTF8 ** len(data) < UNLIKELY and data.decode(errors="surrogateescape").isprintable()


def decoded(text: bytes) -> bytes:
    """Return the bytes of a base64 that the pattern let through."""
    return binascii.a2b_base64(text)
