// What earlier pages left in localStorage: items that were being added when the page was left; and, from before there was a database, one value
// for an order's outbox and one for a draft. Each is taken over once, and only then forgotten.

import { alone } from "./tabs.js";
import { inBrowser } from "./web_storage.js";

const BEFORE = "before";
const OURS = /^(adding|outbox|draft|dispute|closing):/;
const DAY_MS = 86_400_000;

/** Moves what is there for this person into the database. May run twice, and in two tabs: an item is known by its key. */
export async function takeOver(callerKey, database) {
  await forgetOld(database);
  const prefix = `parley:${callerKey}:`;
  const names = inBrowser.keys().filter((key) => key.startsWith(prefix) && OURS.test(key.slice(prefix.length)));
  if (names.length === 0) return undefined;
  return alone(`parley:take-over:${callerKey}`, new AbortController().signal, async () => {
    for (const name of names) await take(name, name.slice(prefix.length), database);
  });
}

async function take(name, what, database) {
  const kept = valueOf(inBrowser.getItem(name));
  if (kept !== null && what.startsWith("adding:")) await addOnce(database, kept.item, kept.draft);
  else if (kept !== null && what.startsWith("outbox:")) await takeOutbox(database, what.slice("outbox:".length), kept);
  else if (typeof kept === "string") await takeDraft(database, what, kept);
  inBrowser.removeItem(name);
}

function valueOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function takeOutbox(database, orderId, { items = [], last = null }) {
  const transaction = database.transaction(["items", "lasts"], "readwrite");
  const [here, lasts] = [transaction.objectStore("items"), transaction.objectStore("lasts")];
  const known = new Set((await here.index("order").getAll(orderId)).map((item) => item.key));
  const taken = items.filter((item) => !known.has(item.key)).map((item) => here.add({ ...item, orderId }));
  if (last && (await lasts.get(orderId)) === undefined) taken.push(lasts.put(last, orderId));
  await Promise.all([...taken, transaction.done]);
}

async function takeDraft(database, name, text) {
  await database.put("drafts", { name, tab: BEFORE, origin: `${BEFORE}:${name}`, text, at: 0 });
}

/** Adds an item and takes away the draft that it was, unless another page has done so: then nothing changes. */
export async function addOnce(database, item, draft) {
  const transaction = database.transaction(["items", "lasts", "drafts"], "readwrite");
  const done = [
    transaction.objectStore("lasts").add(Date.now(), ["added", item.key]),
    transaction.objectStore("items").add(item),
    draft?.tab && transaction.objectStore("drafts").delete([draft.name, draft.tab]),
  ];
  transaction.commit();
  try {
    await Promise.all([...done, transaction.done]);
  } catch (error) {
    if (error.name !== "ConstraintError") throw error;
  }
}

/** What was added long ago is added by nobody any more. */
async function forgetOld(database) {
  const transaction = database.transaction("lasts", "readwrite");
  const range = IDBKeyRange.bound(["added"], ["added", []]);
  for (let cursor = await transaction.store.openCursor(range); cursor; cursor = await cursor.continue())
    if (cursor.value < Date.now() - DAY_MS) cursor.delete();
  await transaction.done;
}
