// Marks read what a person has really seen: entries on screen, in a window that is visible and has the focus. Nothing else ever does.

import { orderPath } from "./api.js";

const SEEN_FOR_MS = 600;
const TRY_AGAIN_MS = 5_000;

export class Reading {
  /** Up to where this page has marked (or heard of a mark of) the person's own. */
  readUpTo = 0;

  #api;
  #thread;
  #newUpTo = 0;
  #seen = 0;
  #observer = null;
  #observed = new WeakSet();
  #timer = null;
  #stop = new AbortController();

  constructor(api, thread) {
    this.#api = api;
    this.#thread = thread;
  }

  start(history) {
    this.#observer = new IntersectionObserver((entries) => this.#onSeen(entries), { root: history, threshold: 0.9 });
    const options = { signal: this.#stop.signal };
    document.addEventListener("visibilitychange", () => this.#soon(), options);
    addEventListener("focus", () => this.#soon(), options);
  }

  stop() {
    this.#stop.abort();
    this.#observer?.disconnect();
    clearTimeout(this.#timer);
  }

  /** The thread was loaded: what is new in it? The inbox may have something new that the person has seen before, and the other way round. */
  begin() {
    if (this.#thread.state !== "ready") return;
    const { unread, new_for_me: newForMe } = this.#thread.view.thread;
    const newest = this.#thread.messages.findLast((message) => !message.mine);
    if (newest && (unread > 0 || newForMe > 0)) this.newAt(newest.seq);
  }

  /** The newest entry that was really before the person's eyes, as far as anything new reaches; below the first new one it says nothing new. */
  get seenUpTo() {
    return Math.max(this.readUpTo, this.#seen);
  }

  /** There is something new at this entry. */
  newAt(seq) {
    this.#newUpTo = Math.max(this.#newUpTo, seq);
    this.#soon();
  }

  /** A mark in the person's own inbox has moved: perhaps in another tab. */
  heard({ up_to_seq: upToSeq, mine }) {
    if (mine && upToSeq > this.readUpTo) this.readUpTo = upToSeq;
  }

  /** Watches entries that were not watched yet; the foot of an entry is where reading it ends. */
  look(list) {
    for (const foot of list.querySelectorAll(".foot[data-seq]")) {
      if (this.#observed.has(foot)) continue;
      this.#observed.add(foot);
      this.#observer?.observe(foot);
    }
  }

  #onSeen(entries) {
    for (const { isIntersecting, target } of entries)
      if (isIntersecting) this.#seen = Math.max(this.#seen, Number(target.dataset.seq));
    this.#soon();
  }

  /** A mark never goes back by itself: below the first new entry there is nothing to mark. */
  #isDue() {
    const isLooking = document.visibilityState === "visible" && document.hasFocus();
    const reaches = this.#seen >= (this.#thread.firstNewSeq ?? this.#newUpTo);
    return isLooking && reaches && this.#newUpTo > this.readUpTo && this.#seen > this.readUpTo;
  }

  #soon(afterMs = SEEN_FOR_MS) {
    clearTimeout(this.#timer);
    if (!this.#stop.signal.aborted && this.#isDue()) this.#timer = setTimeout(() => this.#mark(), afterMs);
  }

  async #mark() {
    if (!this.#isDue()) return;
    const upToSeq = this.#seen;
    try {
      await this.#api.write("PUT", orderPath(this.#thread.orderId, "/read"), { up_to_seq: upToSeq });
      this.readUpTo = Math.max(this.readUpTo, upToSeq);
      this.#soon();
    } catch (error) {
      if (error.isPassing) this.#soon(TRY_AGAIN_MS);
      else if (!error.status) throw error;
    }
  }
}
