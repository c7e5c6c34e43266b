"""Issuers of callers' tokens, as the setting TOKEN_ISSUERS names them; the settings of one alone are the short form of the same."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.claims import ROLES, ClaimRules, ShopRole
from shared.errors import message_of

JWKS_URL_PATTERN: Final = r"^https?://[^\s/?#@]+([/?]\S*)?$"
Claim = Annotated[str, Field(min_length=1, max_length=200)]


class Issuer(BaseModel):
    """Who issues tokens, where its keys are, and what it calls things. Role, id and seller are strict; names and addresses never refuse anybody."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: Annotated[str, Field(min_length=1)]
    jwks_url: Annotated[str, Field(pattern=JWKS_URL_PATTERN)] | None = None
    audience: Annotated[str, Field(min_length=1)] | Annotated[tuple[str, ...], Field(min_length=1)] = "parley"
    audience_claim: Claim = "aud"
    roles: Annotated[tuple[ShopRole, ...], Field(min_length=1)] = ROLES
    role_claim: Claim = "role"
    role_map: dict[str, ShopRole] = {}
    default_role: Literal["customer"] | None = None
    id_claim: Claim = "sub"
    seller_claim: Claim = "seller_id"
    name_claim: Claim = "name"

    @property
    def audiences(self) -> tuple[str, ...]:
        return (self.audience,) if isinstance(self.audience, str) else self.audience

    @property
    def rules(self) -> ClaimRules:
        return ClaimRules(
            roles=frozenset(self.roles),
            role=self.role_claim,
            role_map=self.role_map,
            default_role=self.default_role,
            id=self.id_claim,
            seller=self.seller_claim,
            name=self.name_claim,
        )


_ISSUERS: Final = TypeAdapter(tuple[Issuer, ...])


def read_issuers(value: str) -> tuple[Issuer, ...]:
    """The issuers in a JSON array. Raises ValueError with the place of what is wrong, never with what stands there."""
    try:
        found = _ISSUERS.validate_json(value)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in wrong["loc"]) or "it"
        raise ValueError(f"must be a JSON array of issuers; {place}: {message_of(wrong)}") from None
    for number, issuer in enumerate(found):
        if issuer.jwks_url is None:
            raise ValueError(f"must be a JSON array of issuers; {number}.jwks_url: Field required")
    return found


def require_distinct(issuers: Sequence[Issuer]) -> None:
    """Raises ValueError where one token would fit two of them, so that nobody could say by whose rules it is read."""
    seen = set[tuple[str, str, str]]()
    for issuer in issuers:
        for audience in issuer.audiences:
            fits = (issuer.issuer, issuer.audience_claim, audience)
            if fits in seen:
                raise ValueError(f"must not name {issuer.issuer} twice with the same audience")
            seen.add(fits)


def read_role_map(value: str) -> dict[str, ShopRole]:
    """`shop-admin:admin,shop-vendor:seller`: an issuer's words for roles, the first that a token has counts. Raises ValueError."""
    pairs = [pair.strip().rpartition(":") for pair in value.split(",") if pair.strip()]
    found: dict[str, ShopRole] = {}
    for word, _, role in pairs:
        known = next((each for each in ROLES if each == role.strip()), None)
        if not word.strip() or known is None:
            raise ValueError(f"must be pairs like shop-admin:admin with commas between them; roles: {', '.join(ROLES)}")
        found[word.strip()] = known
    return found
