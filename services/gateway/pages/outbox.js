// What a person has written and the server has not stored yet: kept in the browser and sent, under one key each, until there is an answer.

import { newKey, orderPath } from "./api.js";

const LONGEST_PAUSE_MS = 30_000;
const FIRST_PAUSE_MS = 500;
const FIRST_LOOK_MS = 700;
const LONGEST_LOOK_MS = 15_000;

/**
 * An item is `{key, kind, path, body, ifMatch, seen, state, commandId, problem, at}`; kind is `post`, `open` or `close` (a dispute).
 *
 * `waiting`  not answered yet; tried again under the same key, over reloads of the page too
 * `accepted` answered with 202: RabbitMQ has it for certain; becomes stored with its event or when its command says so
 * `refused`  with the server's problem; the person decides
 *
 * What is stored leaves the outbox. An order's items are sent one after another, and a post names the one before it (`after`), so that
 * they are stored in the order in which they were written. Two tabs may both send an item: it is the same write.
 */
export class Outbox {
  #api;
  #keeping;
  #listeners = new Set();
  #sending = new Set();
  #following = new Set();
  #stop = new AbortController();
  #wakes = new Map();
  #troubled = new Set();

  constructor(api, keeping) {
    this.#api = api;
    this.#keeping = keeping;
  }

  /** Goes on with what an earlier page left behind. */
  start() {
    const { signal } = this.#stop;
    this.#keeping.onOtherTab((name) => name.startsWith("outbox:") && this.#onOtherTab(name.slice(7)), signal);
    addEventListener("online", () => this.retry(), { signal });
    for (const name of this.#keeping.names()) if (name.startsWith("outbox:")) this.#resume(name.slice(7));
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

  items(orderId) {
    return this.#keeping.read(`outbox:${orderId}`)?.items ?? [];
  }

  /** Whether an order's items meet a network or a server that is away. */
  isTroubled(orderId) {
    return this.#troubled.has(orderId);
  }

  post(orderId, text, seen) {
    this.#add(orderId, { kind: "post", path: orderPath(orderId, "/messages"), body: { text }, seen });
  }

  openDispute(orderId, body, ifMatch, seen) {
    this.#add(orderId, { kind: "open", path: orderPath(orderId, "/dispute"), body, ifMatch, seen });
  }

  closeDispute(orderId, body, ifMatch, seen) {
    this.#add(orderId, { kind: "close", path: orderPath(orderId, "/dispute/close"), body, ifMatch, seen });
  }

  /** Sends a refused item again, as a new write: the old one's answer stands for ever. */
  again(orderId, key, changes = {}) {
    const item = this.items(orderId).find((each) => each.key === key);
    if (!item) return;
    this.remove(orderId, key);
    const { kind, path, body, ifMatch, seen } = item;
    const { after: _, ...said } = body;
    this.#add(orderId, { kind, path, body: said, ifMatch, seen, ...changes });
  }

  remove(orderId, key) {
    this.#write(orderId, ({ items, last }) => ({ items: items.filter((item) => item.key !== key), last }));
  }

  /** Tries at once what is waiting for another try. */
  retry() {
    for (const wake of this.#wakes.values()) wake();
  }

  /** An entry has come in; if it is one of ours, it is stored. */
  noticed(orderId, message) {
    const item = this.items(orderId).find((each) => each.commandId === message.id);
    if (item) this.#stored(orderId, item, null);
  }

  #add(orderId, item) {
    const whole = { key: newKey(), state: "waiting", at: new Date().toISOString(), ...item };
    this.#write(orderId, ({ items, last }) => ({ items: [...items, whole], last }));
    this.#send(orderId);
  }

  /** Another tab has written or sent something; should it be closed before it has an answer, this one goes on. */
  #onOtherTab(orderId) {
    this.#tell(orderId);
    this.#resume(orderId);
  }

  #resume(orderId) {
    for (const item of this.items(orderId)) if (item.state === "accepted") this.#follow(orderId, item.key);
    this.#send(orderId);
  }

  #write(orderId, change) {
    const kept = this.#keeping.read(`outbox:${orderId}`) ?? { items: [], last: null };
    const changed = change(kept);
    this.#keeping.write(`outbox:${orderId}`, changed.items.length === 0 && !changed.last ? null : changed);
    this.#tell(orderId);
  }

  #update(orderId, key, changes) {
    this.#write(orderId, ({ items, last }) => ({
      items: items.map((item) => (item.key === key ? { ...item, ...changes } : item)),
      last,
    }));
  }

  #tell(orderId, stored = null) {
    for (const listener of [...this.#listeners]) listener(orderId, stored);
  }

  /** Sends what waits, in order; one tab at a time where the browser can say so. */
  async #send(orderId) {
    if (this.#sending.has(orderId)) return;
    this.#sending.add(orderId);
    try {
      await alone(`parley:outbox:${orderId}:${this.#api.base}`, this.#stop.signal, () => this.#sendAll(orderId));
    } finally {
      this.#sending.delete(orderId);
    }
  }

  async #sendAll(orderId) {
    let failures = 0;
    for (;;) {
      const item = this.items(orderId).find((each) => each.state === "waiting");
      if (!item || this.#stop.signal.aborted) return;
      const retryAfterMs = await this.#try(orderId, item);
      if (retryAfterMs === null) {
        failures = 0;
        this.#setTroubled(orderId, false);
      } else {
        failures += 1;
        this.#setTroubled(orderId, true);
        await this.#pause(orderId, Math.max(retryAfterMs, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures)));
      }
    }
  }

  #setTroubled(orderId, is) {
    if (this.#troubled.has(orderId) === is) return;
    if (is) this.#troubled.add(orderId);
    else this.#troubled.delete(orderId);
    this.#tell(orderId);
  }

  /** One try. Returns null when there is an answer, else how long to wait before the next, in ms. */
  async #try(orderId, waiting) {
    const item = this.#placed(orderId, waiting);
    try {
      const { status, body } = await this.#api.write("POST", item.path, item.body, { key: item.key, ifMatch: item.ifMatch });
      if (status === 202) {
        this.#write(orderId, ({ items, last }) => ({
          items: items.map((each) => (each.key === item.key ? { ...each, state: "accepted", commandId: body.command_id } : each)),
          last: item.kind === "post" ? body.command_id : last,
        }));
        this.#follow(orderId, item.key);
      } else {
        this.#stored(orderId, item, body);
      }
      return null;
    } catch (error) {
      if (error.isPassing || error.isSignedOut) return (error.retryAfterS ?? 0) * 1000;
      this.#refused(orderId, item.key, error);
      return null;
    }
  }

  /** The item with the id of its author's previous post, fixed before its first try: a repetition must be the same request. */
  #placed(orderId, item) {
    const { last } = this.#keeping.read(`outbox:${orderId}`);
    if (item.kind !== "post" || !last || item.placed) return item;
    const placed = { ...item, body: { ...item.body, after: last }, placed: true };
    this.#update(orderId, item.key, placed);
    return placed;
  }

  #refused(orderId, key, error) {
    this.#update(orderId, key, { state: "refused", problem: { code: error.code ?? "internal", detail: error.message } });
  }

  #stored(orderId, item, result) {
    const kept = this.items(orderId).some((each) => each.key === item.key);
    const id = item.kind === "post" ? (result?.id ?? item.commandId) : null;
    if (result !== null || kept) this.#tell(orderId, { item, result });
    if (kept)
      this.#write(orderId, ({ items, last }) => ({ items: items.filter((each) => each.key !== item.key), last: id ?? last }));
  }

  /** Asks what became of an accepted item, more and more rarely, until it is known. */
  async #follow(orderId, key) {
    if (this.#following.has(key)) return;
    this.#following.add(key);
    for (let pauseMs = FIRST_LOOK_MS; !this.#stop.signal.aborted; pauseMs = Math.min(LONGEST_LOOK_MS, pauseMs * 2)) {
      await this.#pause(key, pauseMs);
      const item = this.items(orderId).find((each) => each.key === key);
      if (!item || (await this.#isSettled(orderId, item))) break;
    }
    this.#following.delete(key);
  }

  async #isSettled(orderId, item) {
    try {
      const outcome = await this.#api.get(`/v1/commands/${item.commandId}`);
      if (outcome.state === "accepted") return false;
      if (outcome.state === "done") this.#stored(orderId, item, outcome.result ?? null);
      else if (outcome.state === "rejected")
        this.#refused(orderId, item.key, { code: outcome.problem?.type.split(":").pop(), message: outcome.problem?.detail });
      else this.#refused(orderId, item.key, { code: "parked" });
      return true;
    } catch {
      return false;
    }
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

async function alone(name, signal, work) {
  if (!("locks" in navigator)) return work();
  try {
    return await navigator.locks.request(name, { signal }, work);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
