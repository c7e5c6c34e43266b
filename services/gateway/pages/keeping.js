// What is kept in this browser, by person: the outbox's items and the drafts, one record each, in a database with transactions (IndexedDB).

import { addOnce, takeOver } from "./kept_before.js";
import { channel, openTabs } from "./tabs.js";
import { openDB } from "idb";
import { inBrowser } from "./web_storage.js";

const VERSION = 1;
const OPENS_WITHIN_MS = 3_000;

/**
 * Any number of tabs may write at once: nothing is read, changed and written outside one transaction. What was written is told to the
 * other tabs, as `{outbox: orderId}` or `{draft: name, sent}`.
 *
 * Where the browser keeps nothing (refused, full, broken) it lasts as long as the page; `isLasting` says so, and listeners of this page get
 * `{isLasting}` when it comes to that.
 *
 * Stores: `items` of the outbox (by `n`, in the order of writing over all tabs; index `order`), `lasts` (by order: the id of its author's
 * newest post that the server has; by `["added", key]`: when an item was added), `drafts` (by name and tab; index `name`).
 */
export class Keeping {
  isLasting = false;

  #name;
  #database = null;
  #channel;
  #listeners = new Set();
  #unkept = { items: [], lasts: new Map(), drafts: [] };

  constructor(callerKey) {
    this.#name = `parley:${callerKey}`;
    this.#channel = channel(`parley:kept:${callerKey}`);
    if (this.#channel) this.#channel.onmessage = ({ data }) => this.#heard(data);
  }

  static async open(callerKey) {
    const keeping = new Keeping(callerKey);
    try {
      await keeping.#connect();
      await takeOver(callerKey, keeping.#database);
    } catch {
      // A browser that keeps nothing: the page works, and says so.
    }
    return keeping;
  }

  async #connect() {
    const opening = openDB(this.#name, VERSION, {
      upgrade(database) {
        const items = database.createObjectStore("items", { keyPath: "n", autoIncrement: true });
        items.createIndex("order", "orderId");
        database.createObjectStore("lasts");
        database.createObjectStore("drafts", { keyPath: ["name", "tab"] }).createIndex("name", "name");
      },
      blocking: (_now, _next, event) => event.target.close(),
      terminated: () => (this.#database = null),
    });
    this.isLasting = false;
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Unkept()), OPENS_WITHIN_MS)));
    this.#database = await Promise.race([opening, late]).finally(() => clearTimeout(timer));
    this.isLasting = true;
  }

  /** Runs `work(database)`; a connection that was closed under us (a newer page, cleared data) is opened anew, once. */
  async #use(work) {
    try {
      if (this.#database !== null) return await work(this.#database);
      if (!this.isLasting) throw new Unkept();
    } catch (error) {
      if (error.name !== "InvalidStateError") throw error;
    }
    await this.#connect();
    return work(this.#database);
  }

  /** `work` in the database, else what `instead` says; from then on it is said that nothing lasts. */
  async #try(work, instead) {
    try {
      return await this.#use(work);
    } catch {
      this.isLasting = false;
      this.#heard({ isLasting: false });
      return instead();
    }
  }

  on(listener, signal) {
    this.#listeners.add(listener);
    signal.addEventListener("abort", () => this.#listeners.delete(listener), { once: true });
  }

  #heard(told) {
    for (const listener of [...this.#listeners]) listener(told);
  }

  /** The orders that have something in the outbox. */
  async orders() {
    const items = await this.#try(
      (database) => database.getAll("items"),
      () => [],
    );
    return [...new Set([...items, ...this.#unkept.items].map((item) => item.orderId))];
  }

  /** An order's `{items, last}`. */
  async read(orderId) {
    const kept = await this.#try(
      async (database) => {
        const transaction = database.transaction(["items", "lasts"]);
        return read(transaction, orderId);
      },
      () => ({ items: [], last: null }),
    );
    return this.#with(orderId, kept);
  }

  #with(orderId, { items, last }) {
    const unkept = this.#unkept.items.filter((item) => item.orderId === orderId);
    return { items: [...items, ...unkept], last: last ?? this.#unkept.lasts.get(orderId) ?? null };
  }

  /**
   * Adds an item, and takes away the draft that it was, in one transaction. A transaction that has not begun ends with the page, so the item
   * is noted in localStorage at once, under a key of its own, until it is kept: the next page takes it from there. It is added once, whoever
   * is first. `draft` is what `Draft.taken()` gives, or null.
   */
  async add(item, draft = null) {
    const note = `${this.#name}:adding:${item.key}`;
    inBrowser.setItem(note, JSON.stringify({ item, draft }));
    await this.#try(
      (database) => addOnce(database, item, draft),
      () => this.#unkept.items.push(item),
    );
    inBrowser.removeItem(note);
    this.#channel?.postMessage({ outbox: item.orderId });
    if (draft) this.#forgetCopies(draft);
  }

  /**
   * Changes an order's part of the outbox: `decide({items, last})` gives `{put: [item], remove: [item], last}`, each of which may be left
   * out. Resolves to what stands then. Rejects where the browser fails to write it; then nothing has changed.
   */
  async change(orderId, decide) {
    const isKept = (item) => item.n !== undefined;
    let changes = {};
    let stands = { items: [], last: null };
    const write = async (database) => {
      const transaction = database.transaction(["items", "lasts"], "readwrite");
      const [items, lasts] = [transaction.objectStore("items"), transaction.objectStore("lasts")];
      changes = decide(this.#with(orderId, await read(transaction, orderId)));
      const done = [
        ...(changes.put ?? []).filter(isKept).map((item) => items.put(item)),
        ...(changes.remove ?? []).filter(isKept).map((item) => items.delete(item.n)),
        changes.last ? lasts.put(changes.last, orderId) : null,
      ];
      stands = await read(transaction, orderId);
      await Promise.all([...done, transaction.done]);
    };
    if (this.#database === null && !this.isLasting) changes = decide(this.#with(orderId, stands));
    else await this.#use(write);
    this.#changeUnkept(orderId, changes, isKept);
    if (changes.put || changes.remove || changes.last) this.#channel?.postMessage({ outbox: orderId });
    return this.#with(orderId, stands);
  }

  #changeUnkept(orderId, { put = [], remove = [], last }, isKept) {
    const { items, lasts } = this.#unkept;
    const gone = new Set(remove.map((item) => item.key));
    const changed = new Map(put.filter((item) => !isKept(item)).map((item) => [item.key, item]));
    this.#unkept.items = items.filter((item) => !gone.has(item.key)).map((item) => changed.get(item.key) ?? item);
    if (last) lasts.set(orderId, last);
  }

  /** All tabs' drafts of this name: `{name, tab, origin, text, at}`. */
  async drafts(name) {
    const kept = await this.#try(
      (database) => database.getAllFromIndex("drafts", "name", name),
      () => [],
    );
    return [...kept, ...this.#unkept.drafts.filter((draft) => draft.name === name)];
  }

  /** Keeps a tab's draft, `""` removes it; `instead` is the tab whose draft it was until now, or null. */
  async putDraft(draft, instead = null) {
    const keep = async (database) => {
      const transaction = database.transaction("drafts", "readwrite");
      const done = [draft.text === "" ? transaction.store.delete([draft.name, draft.tab]) : transaction.store.put(draft)];
      if (instead !== null) done.push(transaction.store.delete([draft.name, instead]));
      transaction.commit();
      await Promise.all([...done, transaction.done]);
    };
    const others = this.#unkept.drafts.filter((each) => each.name !== draft.name);
    await this.#try(keep, () => (this.#unkept.drafts = draft.text === "" ? others : [...others, draft]));
    this.#channel?.postMessage({ draft: draft.name });
  }

  /** What was sent is nobody's draft any more where it stands unchanged, nor the earlier state of it that a closed tab has left. */
  async #forgetCopies({ name, origin, text }) {
    const open = await openTabs();
    const forget = async (database) => {
      const transaction = database.transaction("drafts", "readwrite");
      const copies = (await transaction.store.index("name").getAll(name)).filter(isCopy);
      await Promise.all([...copies.map((each) => transaction.store.delete([name, each.tab])), transaction.done]);
    };
    const isLeft = (draft) => open !== null && !open.has(draft.tab);
    const isCopy = (draft) => draft.name === name && draft.origin === origin && (draft.text === text || isLeft(draft));
    await this.#try(forget, () => {});
    this.#unkept.drafts = this.#unkept.drafts.filter((draft) => !isCopy(draft));
    this.#channel?.postMessage({ draft: name, sent: { origin, text } });
  }
}

/** The browser keeps nothing. */
class Unkept extends Error {}

async function read(transaction, orderId) {
  const [items, last] = await Promise.all([
    transaction.objectStore("items").index("order").getAll(orderId),
    transaction.objectStore("lasts").get(orderId),
  ]);
  return { items, last: last ?? null };
}
