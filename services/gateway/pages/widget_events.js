// What the widget says to the page around it, as DOM events of its element: new messages, how many are unread, and what failed.

export class WidgetEvents {
  #host;
  #orderId;
  #lastSeq = null;
  #unread = null;
  #failure = null;

  constructor(host, orderId) {
    this.#host = host;
    this.#orderId = orderId;
  }

  /** To be called whenever what is known of the thread has changed. */
  look(thread) {
    if (thread.state === "missing" || thread.state === "failed") return this.failed(thread.problem?.code ?? thread.state, thread.problem?.detail);
    if (thread.state !== "ready") return undefined;
    this.#failure = null;
    const news = this.#lastSeq === null ? [] : thread.messages.filter(({ seq }) => seq > this.#lastSeq);
    this.#lastSeq = thread.lastSeq;
    for (const { id, seq, kind, author, mine } of news) this.#say("message", { id, seq, kind, side: author.side, mine });
    const others = news.filter(({ mine }) => !mine).length;
    return this.#count(this.#unread === null ? thread.view.thread.new_for_me : this.#unread + others);
  }

  /** To be called with each live event. */
  heard({ kind, data }) {
    if (kind === "thread.read" && data.order_id === this.#orderId && data.mine) this.#count(data.unread);
  }

  /** Says it once until something else is the case. */
  failed(code, detail = null) {
    if (this.#failure === code) return;
    this.#failure = code;
    this.#say("error", { code, detail });
  }

  #count(unread) {
    if (unread === this.#unread) return;
    this.#unread = unread;
    this.#say("unread", { unread });
  }

  #say(what, detail) {
    const event = new CustomEvent(`parley:${what}`, { bubbles: true, composed: true, detail: { order_id: this.#orderId, ...detail } });
    this.#host.dispatchEvent(event);
  }
}
