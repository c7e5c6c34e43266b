// What a person has written and the server has not stored yet: kept in the browser and sent, under one key each, until there is an answer.

import { Unreachable, newKey, orderPath } from "./api.js";
import { alone } from "./tabs.js";

const LONGEST_PAUSE_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const FIRST_LOOK_MS = 700;
const LONGEST_LOOK_MS = 15_000;

/**
 * An item is `{n, key, orderId, kind, path, body, ifMatch, seen, state, commandId, problem, at}`; kind is `post`, `open` or `close` (a
 * dispute). `n` is its place among all tabs' items, and missing in one that the browser could not keep.
 *
 * `waiting`  not answered yet; tried again under the same key, over reloads of the page too
 * `accepted` answered with 202: RabbitMQ has it for certain; becomes stored with its event or when its command says so
 * `refused`  with the server's problem; the person decides
 *
 * What is stored leaves the outbox. An order's items are sent one after another, by one tab at a time, and a post names the one before it
 * (`after`), so that they are stored in the order in which they were written. Where the browser has no locks two tabs may both send an
 * item: it is the same write.
 */
export class Outbox {
  #api;
  #keeping;
  #listeners = new Set();
  #known = new Map();
  #adding = new Map();
  #sending = new Map();
  #following = new Set();
  #stop = new AbortController();
  #wakes = new Map();
  #troubles = new Map();

  constructor(api, keeping) {
    this.#api = api;
    this.#keeping = keeping;
  }

  /** Goes on with what an earlier page left behind. */
  async start() {
    const { signal } = this.#stop;
    this.#keeping.on(({ outbox }) => outbox !== undefined && this.#lookAgain(outbox), signal);
    addEventListener("online", () => this.retry(), { signal });
    for (const orderId of await this.#keeping.orders()) this.#lookAgain(orderId);
  }

  stop() {
    this.#stop.abort();
    for (const wake of this.#wakes.values()) wake();
  }

  /** Listeners get `(orderId, stored)`; `stored` is `{item, result}` when one was stored just now, else null. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As far as this tab knows; what another tab changes comes with a call of the listeners. */
  items(orderId) {
    const known = this.#known.get(orderId) ?? [];
    const keys = new Set(known.map((item) => item.key));
    return [...known, ...[...this.#adding.values()].filter((item) => item.orderId === orderId && !keys.has(item.key))];
  }

  /** What keeps an order's items from being sent: `unreachable`, `signed-out`, `busy` (the server is there and takes nothing now), or null. */
  trouble(orderId) {
    return this.#troubles.get(orderId) ?? null;
  }

  /** `draft` is what `Draft.taken()` gives: it goes when the item is there. `seenSeq`: what was before the person's eyes (0: nothing yet). */
  post(orderId, text, seen, { draft = null, seenSeq = 0 } = {}) {
    const body = seenSeq > 0 ? { text, seen_seq: seenSeq } : { text };
    this.#add(orderId, { kind: "post", path: orderPath(orderId, "/messages"), body, seen }, draft);
  }

  openDispute(orderId, body, ifMatch, seen) {
    this.#add(orderId, { kind: "open", path: orderPath(orderId, "/dispute"), body, ifMatch, seen });
  }

  closeDispute(orderId, body, ifMatch, seen) {
    this.#add(orderId, { kind: "close", path: orderPath(orderId, "/dispute/close"), body, ifMatch, seen });
  }

  /** Sends a refused item again, as a new write: the old one's answer stands for ever. */
  async again(orderId, key, changes = {}) {
    const item = this.#find(orderId, key);
    if (!item) return;
    const { kind, path, body, ifMatch, seen } = item;
    const { after: _, ...said } = body;
    await this.#add(orderId, { kind, path, body: said, ifMatch, seen, ...changes });
    await this.remove(orderId, key);
  }

  remove(orderId, key) {
    return this.#change(orderId, ({ items }) => ({ remove: items.filter((item) => item.key === key) }));
  }

  /** Tries at once what is waiting for another try. */
  retry() {
    for (const wake of this.#wakes.values()) wake();
  }

  /** An entry has come in; if it is one of ours, it is stored. */
  noticed(orderId, message) {
    const item = this.items(orderId).find((each) => each.commandId === message.id);
    if (item) this.#quietly(this.#stored(orderId, item, null));
  }

  #find(orderId, key) {
    return this.items(orderId).find((each) => each.key === key);
  }

  async #add(orderId, item, draft) {
    const whole = { key: newKey(), orderId, state: "waiting", at: new Date().toISOString(), ...item };
    const kept = this.#keeping.add(whole, draft);
    this.#adding.set(whole.key, whole);
    this.#tell(orderId);
    await kept;
    await this.#lookAgain(orderId);
    this.#adding.delete(whole.key);
  }

  /** Another page may have written or sent something; should it be closed before it has an answer, this one goes on. */
  async #lookAgain(orderId) {
    const { items } = await this.#keeping.read(orderId);
    this.#know(orderId, items);
    for (const item of items) if (item.state === "accepted") this.#follow(orderId, item.key);
    if (items.some(isWaiting)) this.#send(orderId);
  }

  #know(orderId, items) {
    this.#known.set(orderId, items);
    this.#tell(orderId);
  }

  /** Changes what is kept and shows it; rejects where the browser fails to write. */
  async #change(orderId, decide) {
    const { items } = await this.#keeping.change(orderId, decide);
    this.#know(orderId, items);
    return items;
  }

  #update(orderId, key, changes, last = undefined) {
    return this.#change(orderId, ({ items }) => ({
      put: items.filter((item) => item.key === key).map((item) => ({ ...item, ...changes })),
      last,
    }));
  }

  #tell(orderId, stored = null) {
    for (const listener of [...this.#listeners]) listener(orderId, stored);
  }

  /**
   * Sends what waits, in order, until there is nothing; each item in a turn of one tab, where the browser can say so. Asked while it is at
   * it, it looks once more.
   */
  async #send(orderId) {
    if (this.#sending.has(orderId)) return void this.#sending.set(orderId, true);
    let failures = 0;
    this.#sending.set(orderId, true);
    while (this.#sending.get(orderId) && !this.#stop.signal.aborted) {
      this.#sending.set(orderId, false);
      const turn = () => this.#sendNext(orderId);
      const error = await alone(`parley:outbox:${orderId}:${this.#api.base}`, this.#stop.signal, turn);
      failures = error ? failures + 1 : 0;
      if (error) await this.#pause(orderId, pauseMs(error, failures));
    }
    this.#sending.delete(orderId);
  }

  /** One item, if any waits. Resolves to what went wrong where it is to be tried again. */
  async #sendNext(orderId) {
    try {
      const item = await this.#next(orderId);
      if (!item) return null;
      this.#sending.set(orderId, true);
      await this.#try(orderId, item);
      this.#setTrouble(orderId, null);
      return null;
    } catch (error) {
      if (!error.isPassing && !error.isSignedOut && !(error instanceof DOMException)) reportError(error);
      this.#sending.set(orderId, true);
      this.#setTrouble(orderId, troubleOf(error));
      return error;
    }
  }

  #setTrouble(orderId, trouble) {
    if (this.trouble(orderId) === trouble) return;
    if (trouble === null) this.#troubles.delete(orderId);
    else this.#troubles.set(orderId, trouble);
    this.#tell(orderId);
  }

  /** The first that waits, with the id of its author's previous post, fixed before its first try: a repetition must be the same request. */
  async #next(orderId) {
    const items = await this.#change(orderId, ({ items: kept, last }) => {
      const item = kept.find(isWaiting);
      if (!item || item.kind !== "post" || item.placed) return {};
      return { put: [{ ...item, body: last ? { ...item.body, after: last } : item.body, placed: true }] };
    });
    return items.find(isWaiting);
  }

  /** One try. Returns when there is an answer, and throws where there is none yet. */
  async #try(orderId, item) {
    const isPost = item.kind === "post";
    let answer;
    try {
      answer = await this.#api.write("POST", item.path, item.body, { key: item.key, ifMatch: item.ifMatch });
    } catch (error) {
      if (error.isPassing || error.isSignedOut) throw error;
      return void (await this.#refused(orderId, item.key, error));
    }
    const { status, body } = answer;
    if (status !== 202) return void (await this.#stored(orderId, item, body, isPost ? body.id : undefined));
    const { command_id: commandId } = body;
    await this.#update(orderId, item.key, { state: "accepted", commandId }, isPost ? commandId : undefined);
    this.#follow(orderId, item.key);
  }

  #refused(orderId, key, error) {
    const problem = { code: error.code ?? "internal", detail: error.message };
    return this.#update(orderId, key, { state: "refused", problem });
  }

  /** It is stored: said once, and it leaves the outbox. `last` is its id where the next post must name it. */
  async #stored(orderId, item, result, last = undefined) {
    if (result !== null || this.#find(orderId, item.key)) this.#tell(orderId, { item, result });
    await this.#change(orderId, ({ items }) => ({ remove: items.filter((each) => each.key === item.key), last }));
  }

  /** Asks what became of an accepted item, more and more rarely, until it is known. */
  async #follow(orderId, key) {
    if (this.#following.has(key)) return;
    this.#following.add(key);
    for (let pauseMs = FIRST_LOOK_MS; !this.#stop.signal.aborted; pauseMs = Math.min(LONGEST_LOOK_MS, pauseMs * 2)) {
      await this.#pause(key, pauseMs);
      const item = this.#find(orderId, key);
      if (!item || (await this.#isSettled(orderId, item))) break;
    }
    this.#following.delete(key);
  }

  async #isSettled(orderId, item) {
    try {
      const outcome = await this.#api.get(`/v1/commands/${item.commandId}`);
      if (outcome.state === "accepted") return false;
      if (outcome.state === "done") await this.#stored(orderId, item, outcome.result ?? null);
      else if (outcome.state === "rejected")
        await this.#refused(orderId, item.key, {
          code: outcome.problem?.type.split(":").pop(),
          message: outcome.problem?.detail,
        });
      else await this.#refused(orderId, item.key, { code: "parked" });
      return true;
    } catch {
      return false;
    }
  }

  /** What another look will bring anyway. */
  #quietly(work) {
    work.catch(() => {});
  }

  #pause(name, ms) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#wakes.delete(name);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#wakes.set(name, wake);
    });
  }
}

function isWaiting(item) {
  return item.state === "waiting";
}

function pauseMs(error, failures) {
  return Math.max((error.retryAfterS ?? 0) * 1000, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures));
}

function troubleOf(error) {
  if (error.isSignedOut) return "signed-out";
  return error instanceof Unreachable ? "unreachable" : "busy";
}
