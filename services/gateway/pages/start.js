// Starts the pages: what is to be seen is asked for first, while the scripts that will show it are still being read.

import { load, preferred } from "./language.js";
import { signIn } from "./session.js";
import { firstQuestions } from "./thread.js";
import { FetchedToken, GuestToken, SignedOut, StoredToken, fragment } from "./tokens.js";

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
  const session = await signIn({ base: location.origin, tokens });
  const orderId = session.caller.orderId ?? where()[1];
  if (orderId) for (const path of firstQuestions(orderId)) session.api.askAhead(path);
  session.begin();
  return session;
}

/** Where the token comes from: the shop's address, a guest's link in the address's fragment, or the tab's storage. */
function tokenSource() {
  if (TOKEN_URL) return new FetchedToken(TOKEN_URL);
  const link = guestLink();
  if (link !== null) {
    history.replaceState(null, "", location.pathname + location.search);
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

start();
