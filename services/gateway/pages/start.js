// Starts the pages: what is to be seen is asked for first, while the scripts that will show it are still being read.

import { load, preferred } from "./language.js";
import { signIn } from "./session.js";
import { firstQuestions } from "./thread.js";
import { FetchedToken, GuestToken, SignedOut, StoredToken, fragment } from "./tokens.js";
import { inTab } from "./web_storage.js";

export const { root: ROOT = "/pages/" } = document.documentElement.dataset;
const { tokenUrl: TOKEN_URL = "" } = document.documentElement.dataset;

/** The page that the address names, and the order: `["orders", "1042"]`. */
export function where() {
  try {
    return location.pathname.slice(ROOT.length).split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    return [];
  }
}

async function start() {
  const words = load(preferred());
  const signedIn = session();
  signedIn.catch(() => {});
  const { App } = await import("./app.js");
  await new App(await words).start(signedIn);
}

async function session() {
  const tokens = tokenSource();
  if (tokens === null) throw new SignedOut("nobody is signed in");
  const asks = (caller) => {
    const orderId = caller.orderId ?? where()[1];
    return orderId ? firstQuestions(orderId) : [];
  };
  const session = await signIn({ base: location.origin, tokens, asks });
  session.begin();
  return session;
}

/** Where the token comes from: the shop's address, a guest's link in the address's fragment, or the tab's storage. */
function tokenSource() {
  if (TOKEN_URL) return new FetchedToken(TOKEN_URL);
  const link = guestLink();
  if (link !== null) {
    // A browser that keeps nothing would not find it again after a reload.
    if (inTab.lasts) history.replaceState(null, "", location.pathname + location.search);
    GuestToken.keepLink(link);
  }
  if (GuestToken.isThere) return new GuestToken(location.origin);
  return StoredToken.isThere ? new StoredToken() : null;
}

/** The fragment `#guest=<token>`, or on the page of a mail's link (`guest/<order>`) the token alone. */
function guestLink() {
  const given = fragment();
  if (given.startsWith("guest=")) return given.slice(6);
  return location.pathname.startsWith(`${ROOT}guest/`) && given !== "" ? given : null;
}

/** Where not even the words have come: in English, and with nothing else that would have to be loaded. */
function sayPlainly() {
  const text = document.createElement("p");
  text.textContent = "This page could not be loaded. Perhaps there is no connection.";
  const again = document.createElement("button");
  again.textContent = "Try again";
  again.addEventListener("click", () => location.reload());
  document.body.replaceChildren(text, again);
}

start().catch((error) => {
  if (document.querySelector("main") === null) sayPlainly();
  throw error;
});
