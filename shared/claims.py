"""What a token's claims say about its caller, pure: by which names an issuer calls role, seller and name, and what is done with what is unusable.

Identity (who, with which role, for which seller) is strict: what is not as it must be is refused, and the claim is named. What is only shown or
used for comfort (name, e-mail address, locale) never locks anybody out: it is cut or left out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import jwt
from pydantic import TypeAdapter, ValidationError

from shared.callers import SHOP_SELLER_ID, Caller
from shared.fields import Locale, Name, PersonId, SendableAddress
from shared.visible import shows

ShopRole = Literal["customer", "seller", "admin", "service"]
ROLES: Final[tuple[ShopRole, ...]] = get_args(ShopRole)

_NAME, _PERSON = TypeAdapter[str](Name), TypeAdapter[str](PersonId)
_EMAIL, _LOCALE = TypeAdapter[str](SendableAddress), TypeAdapter[str](Locale)
_NOT_SHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# The tag at the beginning of what systems say: `en_US.UTF-8`, `de-DE-u-co-phonebk`, `en-US,en`.
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}(?![A-Za-z0-9])")
_MAX_NAME_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Where an issuer says what. A claim is named by its own name, or by the path to it (`realm_access.roles`).

    `role_map` gives the issuer's words for roles; the first of its words that a token has counts, and no other word then does. `roles` are
    those that the issuer may give. `default_role` is that of tokens without a role of ours.
    """

    roles: frozenset[ShopRole] = frozenset(ROLES)
    role: str = "role"
    role_map: Mapping[str, ShopRole] = field(default_factory=dict)
    default_role: ShopRole | None = None
    id: str = "sub"
    seller: str = "seller_id"
    name: str = "name"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The caller, and what else a token says. `unusable` are the claims that were cut or left out."""

    caller: Caller
    email: str | None
    locale: str | None
    unusable: tuple[str, ...]


def read_claims(claims: Mapping[str, Any], rules: ClaimRules) -> Claimed:
    """Raises jwt.InvalidTokenError with the claim that is not as it must be, never with what stands in it."""
    unusable: list[str] = []
    person = _identity(claims, rules.id)
    role = _role(claims, rules)
    seller_id = _identity(claims, rules.seller) if role == "seller" else None
    if seller_id == SHOP_SELLER_ID:
        raise jwt.InvalidTokenError(f"the claim {rules.seller} names the shop itself, whose staff have the role admin")
    name = _shown(claims, rules.name, _clean_name, unusable)
    caller = Caller(role=role, id=person, name=name or person, seller_id=seller_id)
    email = _shown(claims, "email", _EMAIL.validate_python, unusable)
    locale = _shown(claims, "locale", _clean_locale, unusable)
    return Claimed(caller, email, locale, tuple(unusable))


def texts_at(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The texts of a claim that holds one or several; empty where it is not there or holds anything else."""
    found = _at(claims, name)
    values = found if isinstance(found, list) else [found]
    return tuple(value for value in values if isinstance(value, str))


def _at(claims: object, path: str) -> Any:
    """The claim of this very name, else the one at the end of the path; None where there is none. Names on the way may contain dots."""
    if not isinstance(claims, Mapping):
        return None
    if path in claims:
        return claims[path]
    found = (_at(claims[head], rest) for head, rest in _splits(path) if head in claims)
    return next((each for each in found if each is not None), None)


def _splits(path: str) -> Iterator[tuple[str, str]]:
    parts = path.split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length]), ".".join(parts[length:])


def _role(claims: Mapping[str, Any], rules: ClaimRules) -> ShopRole:
    said = texts_at(claims, rules.role)
    if rules.role_map:
        named: Sequence[ShopRole] = [role for word, role in rules.role_map.items() if word in said][:1]
    else:
        named = [role for role in ROLES if role in said]
    if len(named) > 1:
        raise jwt.InvalidTokenError(f"the claim {rules.role} names several roles ({', '.join(named)}); it must be one")
    if not named and rules.default_role is None:
        words = list(rules.role_map) or list(ROLES)
        raise jwt.InvalidTokenError(
            f"the claim {rules.role} must be {', '.join(words[:-1])}{' or ' * (len(words) > 1)}{words[-1]}"
        )
    role = named[0] if named else rules.default_role
    if role is None or role not in rules.roles:
        raise jwt.InvalidTokenError(f"the claim {rules.role}: this issuer may not give the role {role}")
    return role


def _identity(claims: Mapping[str, Any], name: str) -> str:
    """An id. Whole numbers are what many shops have, and some issuers put every attribute into a list."""
    found = _at(claims, name)
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if found is None or found == "":
        raise jwt.InvalidTokenError(f"the claim {name} is missing")
    try:
        return _PERSON.validate_python(found, strict=True)
    except ValidationError:
        raise jwt.InvalidTokenError(f"the claim {name} must be 1 to 128 characters in one line") from None


def _shown(claims: Mapping[str, Any], name: str, clean: Any, unusable: list[str]) -> str | None:
    found = _at(claims, name)
    if found is None:
        return None
    try:
        cleaned: str = clean(found)
    except (ValidationError, ValueError, TypeError):
        unusable.append(name)
        return None
    if cleaned != found:
        unusable.append(name)
    return cleaned


def _clean_name(value: Any) -> str:
    """In one line, of a length that can be shown. Raises ValueError or TypeError where nothing of it can."""
    name = _NAME.validate_python(_NOT_SHOWN.sub(" ", value).strip()[:_MAX_NAME_CHARACTERS].strip())
    if not shows(name):
        raise ValueError("nothing of it can be seen")
    return name


def _clean_locale(value: Any) -> str:
    found = _TAG.match(value)
    if found is None:
        raise ValueError("no language tag")
    return _LOCALE.validate_python(found[0])
