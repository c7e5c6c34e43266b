// One signed-in person: the API, live events, outbox and language that everything on a page shares.

import { Api } from "./api.js";
import { Keeping } from "./keeping.js";
import { Live } from "./live.js";
import { Outbox } from "./outbox.js";
import { callerIn } from "./tokens.js";

/**
 * `begin()` connects and sends what an earlier page left; `end()` stops both. `lang` may be set a little later; `asks(caller)` are the paths
 * that will be asked for first. Raises SignedOut (or TypeError, where the token's source is away).
 */
export async function signIn({ base, tokens, lang = null, asks = () => [] }) {
  const caller = callerIn(await tokens.current());
  const api = new Api(base, tokens);
  for (const path of asks(caller)) api.askAhead(path);
  const keeping = await Keeping.open(caller.key);
  const live = new Live(api, caller.key);
  const outbox = new Outbox(api, keeping);
  live.on(({ data }) => data?.message && outbox.noticed(data.order_id, data.message));
  const begin = () => (live.start(), outbox.start());
  const end = () => (live.stop(), outbox.stop());
  return { caller, tokens, api, keeping, live, outbox, lang, begin, end };
}
