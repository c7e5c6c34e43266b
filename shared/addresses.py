"""E-mail addresses and domain names in the form in which they go out: pure, and the one place that turns a domain into DNS form."""

import re
from functools import lru_cache
from typing import Final

import idna

MAX_ADDRESS_OCTETS: Final = 254
MAX_DOMAIN_OCTETS: Final = 253

EXAMPLE: Final = "must be an e-mail address like name@example.com"

# RFC 5321, 4.1.2: letters, digits and hyphens, no hyphen at an end; a last label of digits alone belongs to an IPv4 address.
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# RFC 5322, 3.2.3, with the characters beyond ASCII of RFC 6532.
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]"
_DOT_ATOM: Final = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_ATOMS_AND_DOTS: Final = re.compile(rf"(?:{_ATEXT}|\.)+")
# A quoted local part (RFC 5321, 4.1.2): all but quote and backslash stands for itself, and what a backslash precedes does.
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])+)"')
# What nobody sees: controls, white space but the blank, line ends, direction marks, surrogates. Joiners stay, as words of some alphabets need them.
_INVISIBLE: Final = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ufeff\ufff9-\uffff]"
)


class AddressError(ValueError):
    """No mail can be sent to this. The message says what is wrong, and holds nothing of the address."""


@lru_cache(maxsize=4_096)
def sendable(address: str) -> str:
    """The address as it goes out, in the envelope and in headers: the local part quoted where it must be, the domain as DNS has it.

    `a..b@example.com`, which some carriers have given out, becomes `"a..b"@example.com`. What is in this form already stays as it is.
    Raises AddressError.
    """
    if _INVISIBLE.search(address):
        raise AddressError("must be an e-mail address without blanks, control or invisible characters")
    local, domain = _split(address)
    sent = f"{_local_part(local)}@{domain_in_dns(domain)}"
    if len(sent.encode()) > MAX_ADDRESS_OCTETS:
        raise AddressError(f"must be an e-mail address of at most {MAX_ADDRESS_OCTETS} bytes as it is sent")
    return sent


@lru_cache(maxsize=4_096)
def domain_in_dns(domain: str) -> str:
    """The domain as DNS has it, by IDNA 2008 and UTS 46 without its transitional mapping: `straße.example` is not `strasse.example`.

    What is ASCII is in this form already. Raises AddressError for what is no domain name; address literals (`[192.0.2.1]`) are none.
    """
    try:
        ascii_domain = domain.lower() if domain.isascii() else _international(domain)
    except UnicodeError:  # idna.IDNAError is one
        raise AddressError("must have a domain name behind the @ that IDNA 2008 knows") from None
    labels = ascii_domain.split(".")
    if len(ascii_domain) > MAX_DOMAIN_OCTETS or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise AddressError("must have a domain name behind the @: letters, digits, inner hyphens, and single dots")
    return ascii_domain


def name_and_address(written: str) -> tuple[str, str]:
    """`shop@example.com`, or `The Shop <shop@example.com>`: the name stands as it is meant, in quotes or not, and may be empty.

    For settings. The address is as it was written. Raises ValueError.
    """
    name, bracket, rest = written.strip().rpartition("<")
    name, address = name.strip(), rest.removesuffix(">").strip()
    if bool(bracket) != rest.endswith(">"):
        raise ValueError("must end with the address in <>")
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1])
    elif re.search('[<>"]', name):
        raise ValueError('must be one address, with a name in quotes where <, > or " is in it')
    if "=?" in name:
        raise ValueError("must have the name as it is meant: it is encoded where that is needed")
    sendable(address)
    return name, address


def _international(domain: str) -> str:
    return idna.encode(domain, uts46=True, transitional=False, std3_rules=True).decode("ascii")


def _split(address: str) -> tuple[str, str]:
    """Local part and domain. Within a quoted local part an @ is a character like any other."""
    quoted = _QUOTED.match(address)
    if quoted is not None and address[quoted.end() : quoted.end() + 1] == "@":
        return address[: quoted.end()], address[quoted.end() + 1 :]
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise AddressError(EXAMPLE)
    if "@" in local:
        raise AddressError("must have one @; another one may only stand in a quoted local part")
    return local, domain


def _local_part(local: str) -> str:
    quoted = _QUOTED.fullmatch(local)
    if quoted is not None:
        local = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not _ATOMS_AND_DOTS.fullmatch(local):
        raise AddressError("must have a local part of letters, digits and !#$%&'*+-./=?^_`{|}~, or one in quotes")
    if "=?" in local:
        # Some readers decode whatever looks like an encoded word (RFC 2047), also where none may stand.
        raise AddressError("must have a local part without =?")
    if _DOT_ATOM.fullmatch(local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
