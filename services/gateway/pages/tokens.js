// Where the bearer token comes from. It lives in memory or in sessionStorage (where the browser allows that) and goes into the Authorization header: never into an address.

import { inTab } from "./web_storage.js";

const TOKEN = "parley:token";
const LINK = "parley:guest-link";
const RENEW_BEFORE_MS = 60_000;

/** Nobody is signed in (any more). `why` is null, or of a guest's link: `link_ended` (its order has an account) or `link_invalid`. */
export class SignedOut extends Error {
  constructor(message, why = null) {
    super(message);
    this.why = why;
  }
}

/** The address's fragment, where links carry their tokens; "" where it is not one of ours. */
export function fragment() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** What the token says about its holder. Only for what this browser shows and keeps apart; the server checks for itself. */
export function callerIn(token) {
  const claims = claimsIn(token);
  const role = claims.role ?? "guest";
  const key = role === "guest" ? `guest:${claims.order_id}` : `${role}:${claims.sub}`;
  const side = { seller: "seller", admin: "shop" }[role] ?? "customer";
  return { key, role, side, name: claims.name ?? claims.sub, orderId: claims.order_id ?? null };
}

function claimsIn(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")), (each) =>
      each.charCodeAt(0),
    );
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new SignedOut("this is no token");
  }
}

/** Why a guest's link is not exchanged any more, by the status that says so. */
const WHY = { 401: "link_invalid", 410: "link_ended", 422: "link_invalid" };

/** A token that was handed over at sign-in and lasts as long as the tab. */
export class StoredToken {
  static keep(token) {
    callerIn(token);
    inTab.removeItem(LINK);
    inTab.setItem(TOKEN, token);
  }

  static get isThere() {
    return inTab.getItem(TOKEN) !== null;
  }

  static forget() {
    inTab.removeItem(TOKEN);
    inTab.removeItem(LINK);
  }

  async current() {
    const token = inTab.getItem(TOKEN);
    if (token === null) throw new SignedOut("nobody is signed in");
    return token;
  }

  /** Whether there is another token than this one now. */
  async renew() {
    return false;
  }
}

/** A guest's link, exchanged for sessions of an hour, as often as it takes while the link is good. */
export class GuestToken extends StoredToken {
  static keepLink(link) {
    inTab.removeItem(TOKEN);
    inTab.setItem(LINK, link);
  }

  static get isThere() {
    return inTab.getItem(LINK) !== null;
  }

  /** Why the link does not do any more; null while it does. */
  why = null;

  #base;
  #exchange = null;

  constructor(base) {
    super();
    this.#base = base;
  }

  async current() {
    const token = inTab.getItem(TOKEN);
    if (token !== null) return token;
    this.#exchange ??= this.#exchanged().finally(() => (this.#exchange = null));
    return this.#exchange;
  }

  async renew(old) {
    if (inTab.getItem(TOKEN) === old) inTab.removeItem(TOKEN);
    return true;
  }

  async #exchanged() {
    const answer = await fetch(`${this.#base}/v1/guest-sessions`, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: inTab.getItem(LINK) }),
    });
    this.why = WHY[answer.status] ?? null;
    if (this.why !== null) throw new SignedOut("the link does not do any more", this.why);
    if (!answer.ok) throw new TypeError("the link cannot be exchanged now");
    const { access_token: token } = await answer.json();
    inTab.setItem(TOKEN, token);
    return token;
  }
}

/**
 * A token from the shop's own address, fetched with the shop's session cookie and again before it expires. The answer is
 * `{"token": …}` or `{"access_token": …}` (and may have `expires_in`), or the token as plain text. 401, 403 or 404: nobody is signed in.
 */
export class FetchedToken {
  #url;
  #token = null;
  #goodUntil = 0;
  #fetching = null;

  constructor(url) {
    this.#url = url;
  }

  async current() {
    if (this.#token !== null && Date.now() < this.#goodUntil) return this.#token;
    this.#fetching ??= this.#fetched().finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  async renew(old) {
    if (this.#token === old) this.#token = null;
    return true;
  }

  async #fetched() {
    const answer = await fetch(this.#url, {
      credentials: "same-origin",
      cache: "no-store",
      headers: { Accept: "application/json, text/plain" },
    });
    if ([401, 403, 404].includes(answer.status)) throw new SignedOut("the shop gives no token");
    if (!answer.ok) throw new TypeError("the shop's token address is away");
    const said = (await answer.text()).trim();
    const { token, access_token: accessToken, expires_in: seconds } = said.startsWith("{") ? JSON.parse(said) : { token: said };
    const claims = claimsIn(token ?? accessToken);
    this.#token = token ?? accessToken;
    const expiresAt = seconds === undefined ? claims.exp * 1000 : Date.now() + seconds * 1000;
    this.#goodUntil = expiresAt - Math.min(RENEW_BEFORE_MS, (expiresAt - Date.now()) / 2);
    return this.#token;
  }
}
