// What is known of one order and its thread: read once, then kept up to date by live events.

import { orderPath } from "./api.js";

const PAGE = 50;
const CATCH_UP_PAGE = 200;

/** What a thread asks when it is loaded, so that it can be asked ahead. */
export function firstQuestions(orderId) {
  return [orderPath(orderId), orderPath(orderId, `/messages?limit=${PAGE}`)];
}

export class Thread {
  /** `loading`, `ready`, `missing` (unknown, or another person's: the two look alike), `failed` (see `problem`). */
  state = "loading";
  problem = null;
  /** The order with its thread's summary and what the caller may do (OrderView). */
  view = null;
  /** The entries that were read, ascending and without a gap. */
  messages = [];
  firstNewSeq = null;
  hasOlder = false;

  #api;
  #reading = null;
  #redacted = new Set();

  constructor(api, orderId) {
    this.#api = api;
    this.orderId = orderId;
  }

  get lastSeq() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  get dispute() {
    return this.view?.thread.dispute ?? null;
  }

  get isDisputed() {
    return this.dispute?.state === "open";
  }

  /** Whether all of the other sides have read up to this entry. */
  isSeen(seq) {
    const others = Object.values(this.view?.thread.seen_by ?? {}).filter((each) => each !== null);
    return others.length > 0 && others.every((each) => each >= seq);
  }

  /** Another side has read further; whether that is news. */
  seenBy({ side, seq }) {
    const seen = this.view?.thread.seen_by;
    if (!seen || seen[side] >= seq) return false;
    seen[side] = seq;
    return true;
  }

  may(action) {
    return this.view?.available_actions.includes(action) ?? false;
  }

  /** Reads everything anew: the order and the newest part of its history. */
  async load() {
    try {
      const [view, page] = await Promise.all(firstQuestions(this.orderId).map((path) => this.#api.get(path)));
      this.view = view;
      this.messages = this.#asTheyAre(page.items);
      this.firstNewSeq = page.first_new_seq;
      this.hasOlder = page.next !== null;
      this.state = "ready";
    } catch (error) {
      this.problem = error;
      if (this.state !== "ready") this.state = error.status === 404 || error.status === 422 ? "missing" : "failed";
      if (!error.isPassing && !error.status) throw error;
    }
  }

  async loadOlder() {
    const before = this.messages[0]?.seq;
    if (!this.hasOlder || before === undefined) return;
    const page = await this.#api.get(orderPath(this.orderId, `/messages?before_seq=${before}&limit=${PAGE}`));
    if (this.messages[0]?.seq !== before) return;
    this.messages = [...this.#asTheyAre(page.items), ...this.messages];
    this.hasOlder = page.next !== null;
  }

  /** Reads what is newer than the newest known entry, and the order. May be called at any time. */
  catchUp() {
    return this.#read(() => this.lastSeq);
  }

  /** Reads all that is known anew, and what is newer: texts that were removed meanwhile go. May be called at any time. */
  async readAgain() {
    while (this.#reading !== null) await this.#reading.catch(() => {});
    return this.#read(() => Math.max(0, (this.messages[0]?.seq ?? 1) - 1));
  }

  #read(after) {
    this.#reading ??= (this.state === "ready" ? this.#readAfter(after()) : this.load()).finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #readAfter(seq) {
    const known = this.lastSeq;
    for (let next = orderPath(this.orderId, `/messages?after_seq=${seq}&limit=${CATCH_UP_PAGE}`); next !== null;) {
      const page = await this.#api.get(next);
      const found = new Map(this.#asTheyAre(page.items).map((message) => [message.id, message]));
      this.messages = this.messages.map((message) => found.get(message.id) ?? message);
      for (const message of found.values()) this.#add(message);
      this.firstNewSeq ??= page.first_new_seq;
      next = page.next;
    }
    if (this.lastSeq > known) await this.refresh();
  }

  /** An answer may be older than an event that came before it: what was removed stays removed. */
  #asTheyAre(messages) {
    return messages.map((message) => (this.#redacted.has(message.id) ? redacted(message) : message));
  }

  async refresh() {
    this.view = await this.#api.get(orderPath(this.orderId));
  }

  /** Takes an entry that came in. Returns false where entries before it are missing, or are being read: then it is time to catch up. */
  take(message, summary = null) {
    if (this.state !== "ready") return this.state !== "loading";
    if (message.seq > this.lastSeq + 1) return false;
    if (!this.#add(message)) return true;
    if (summary)
      this.view.thread = {
        ...this.view.thread,
        dispute: summary.dispute,
        waiting_since: summary.waiting_since,
        last_seq: summary.last_seq,
      };
    return true;
  }

  #add(message) {
    if (message.seq !== this.lastSeq + 1) return false;
    this.messages = [...this.messages, message];
    return true;
  }

  redact(messageId) {
    this.#redacted.add(messageId);
    this.messages = this.#asTheyAre(this.messages);
  }
}

function redacted(message) {
  return { ...message, text: null, redacted: true };
}
