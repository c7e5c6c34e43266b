// The conversation about one order: history, dispute, write box. The pages and the widget show the same one.

import { orderPath } from "./api.js";
import { noticeBanner, troubleBanner } from "./banners.js";
import { connection } from "./connection.js";
import { askToCloseDispute, askToOpenDispute, askToRedact, askWhetherToDispute, showSheet } from "./dialogs.js";
import { fill, h, icon, sync } from "./dom.js";
import { reasonOf, rows } from "./entries.js";
import { statusWords } from "./order_card.js";
import { houseOf, isOfShop, nameInFull, partyNames } from "./people.js";
import { Reading } from "./reading.js";
import { Thread } from "./thread.js";
import { WriteBox } from "./write_box.js";

const NEAR_BOTTOM_PX = 80;
const SPOKEN_CHARACTERS = 300;
const CATCH_UP_AGAIN_MS = 5_000;

export class Conversation {
  #session;
  #thread;
  #reading;
  #box;
  #parts;
  #options;
  #ends = [];
  #newFrom = null;
  #missedBelow = 0;
  #isStale = false;
  #isClosed = false;
  #catchUpTimer = null;
  #notice = null;
  #closeSheet = null;
  #signatures = new Map();

  /**
   * `heading` is the element its title is; `showConnection` says how the live connection is doing; `tools(thread)` gives further buttons
   * for its head (each with a `data-signature`); `back` is the way to the list, `{to, href, words}`; `card` is the order's element, which a
   * sheet shows where it has no room beside the conversation; `onThread(thread)` is called whenever what is known of the thread has changed.
   */
  constructor(
    session,
    orderId,
    { heading = "h1", showConnection = false, tools = () => [], back = null, card = null, onThread = () => {} } = {},
  ) {
    this.#session = session;
    this.#options = { heading, showConnection, tools, back, card, onThread };
    this.#thread = new Thread(session.api, orderId);
    this.#reading = new Reading(session.api, this.#thread);
    this.#box = new WriteBox(session, orderId, (text, draft) => this.#post(text, draft));
    this.#parts = this.#build();
    this.element = this.#parts.root;
  }

  get orderId() {
    return this.#thread.orderId;
  }

  get thread() {
    return this.#thread;
  }

  #build() {
    const { lang } = this.#session;
    const list = h("ol", { class: "entries" });
    const older = h(
      "button",
      { type: "button", class: "button small older", hidden: true, on: { click: () => this.#loadOlder() } },
      lang.t("older"),
    );
    const empty = h("div", { class: "middle", hidden: true });
    const history = h(
      "div",
      { class: "history", tabindex: 0, role: "region", "aria-label": lang.t("history") },
      older,
      empty,
      list,
    );
    const jump = h("button", { type: "button", class: "button small jump", hidden: true, on: { click: () => this.#toBottom() } });
    const head = h("header", { class: "conversation-head" });
    const banner = h("div", { class: "banners" });
    const spokenNews = h("p", { class: "sr", role: "status" });
    const sheet = h("div", { class: "sheet-actions" });
    const root = h(
      "section",
      { class: "conversation", "aria-label": lang.t("conversation") },
      head,
      banner,
      h("div", { class: "history-frame" }, history, jump),
      this.#box.element,
      spokenNews,
    );
    history.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    return { root, head, banner, history, list, older, empty, jump, spokenNews, sheet };
  }

  /** Loads and shows it; resolves when there is something to see. */
  async open() {
    const { live, outbox } = this.#session;
    this.#ends = [
      live.on((event) => this.#onLive(event)),
      outbox.on((orderId, stored) => orderId === this.orderId && this.#onOutbox(stored)),
    ];
    this.#reading.start(this.#parts.history);
    this.render();
    const loaded = this.#thread.load();
    this.#session.lang.prepare();
    await loaded;
    this.#newFrom = this.#thread.firstNewSeq;
    this.#reading.begin();
    this.render();
    this.#toFirstNew();
    if (this.#isStale) this.#catchUp(true);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#catchUpTimer);
    for (const end of this.#ends) end();
    this.#reading.stop();
    this.#box.close();
    this.element.remove();
  }

  focusTitle() {
    const title = this.#parts.head.querySelector(".title");
    title?.focus({ preventScroll: true });
  }

  #onLive({ kind, data }) {
    if (kind === "state") return this.render();
    if (kind === "joined" || kind === "resync") return this.#catchUp(true);
    if (data.order_id !== this.orderId) return undefined;
    if (kind === "thread.read") return this.#reading.heard(data);
    if (kind === "thread.seen") return this.#thread.seenBy(data) && this.render();
    if (kind === "message.redacted") this.#thread.redact(data.message_id);
    else this.#hear(data.message, data.thread);
    return this.render();
  }

  #hear(message, summary) {
    if (!this.#thread.take(message, summary)) return void this.#catchUp();
    if (message.kind !== "text") this.#quietly(this.#thread.refresh().then(() => this.render()));
    if (message.mine) return undefined;
    this.#reading.newAt(message.seq);
    const isLooking = document.visibilityState === "visible" && document.hasFocus();
    if (!isLooking && (this.#newFrom === null || this.#newFrom <= this.#reading.readUpTo)) this.#newFrom = message.seq;
    if (!this.#isAtBottom()) this.#missedBelow += 1;
    this.#announce(message);
    return undefined;
  }

  #announce(message) {
    const { lang } = this.#session;
    const said =
      message.kind === "text"
        ? lang.t("announce", { name: message.author.name, text: (message.text ?? "").slice(0, SPOKEN_CHARACTERS) })
        : lang.t(message.kind, {
            name: message.author.name,
            what: lang.known(message.kind === "dispute_opened" ? "reason" : "outcome", message.reason ?? message.outcome),
          });
    fill(this.#parts.spokenNews, said);
  }

  /** Reads what may have been missed; `again` also what is known, which may have been removed. What fails is tried again. */
  async #catchUp(again = false) {
    if (this.#thread.state === "loading") return void (this.#isStale = true);
    clearTimeout(this.#catchUpTimer);
    const known = this.#thread.lastSeq;
    try {
      await (again ? this.#thread.readAgain() : this.#thread.catchUp());
    } catch (error) {
      if (!error.isPassing && !error.status) throw error;
      if (error.isPassing && !this.#isClosed) this.#catchUpTimer = setTimeout(() => this.#catchUp(true), CATCH_UP_AGAIN_MS);
    }
    const news = this.#thread.messages.filter((message) => message.seq > known);
    for (const message of news) {
      this.#session.outbox.noticed(this.orderId, message);
      if (message.new) this.#reading.newAt(message.seq);
    }
    if (known > 0) this.#newFrom ??= this.#thread.firstNewSeq;
    this.render();
  }

  /** What may fail without harm: live events or the next look will bring it. */
  async #quietly(work) {
    try {
      await work;
    } catch (error) {
      if (!error.status && !error.isPassing) throw error;
    }
  }

  #onOutbox(stored) {
    if (stored?.result?.seq !== undefined && stored.item.kind === "post") {
      if (!this.#thread.take(stored.result)) this.#catchUp();
    } else if (stored) {
      this.#catchUp();
    }
    this.render();
  }

  #post(text, draft) {
    this.#newFrom = null;
    const seenSeq = this.#reading.seenUpTo;
    this.#session.outbox.post(this.orderId, text, this.#thread.lastSeq, { draft, seenSeq });
    this.#toBottom();
  }

  /** A refused dispute step was decided on another picture of the dispute than the one that is on screen now. */
  #again({ key, kind }) {
    const ifMatch = kind === "post" ? undefined : (this.#thread.dispute?.etag ?? '"none"');
    this.#session.outbox.again(this.orderId, key, { ifMatch, seen: this.#thread.lastSeq });
  }

  /** The order, what can be done, and the dispute, where there is no room for them beside and above the conversation. */
  #openSheet() {
    const { lang } = this.#session;
    const { card } = this.#options;
    const home = card.parentElement;
    const onClose = () => {
      this.#closeSheet = null;
      home.append(card);
    };
    const title = lang.t("order", { id: this.orderId });
    this.#closeSheet = showSheet(this.element, { lang, title, content: [this.#parts.sheet, card], onClose });
  }

  /** A button's action, wherever the button is. */
  #leaveSheet(action) {
    return () => {
      this.#closeSheet?.();
      return action();
    };
  }

  /** The customer is asked whether they have asked: a dispute is for what a message did not solve. */
  async #report() {
    const { lang, caller } = this.#session;
    const { order } = this.#thread.view;
    if (caller.side !== "customer") return this.#openDispute();
    const hint = whoWillSee(lang, caller.side, order);
    const chosen = await askWhetherToDispute(this.element, { lang, name: order.seller.name, hint });
    if (chosen === "ask") this.#box.focus();
    return chosen === "dispute" ? this.#openDispute() : undefined;
  }

  async #openDispute() {
    const { lang, keeping, outbox, caller } = this.#session;
    const hint = whoWillSee(lang, caller.side, this.#thread.view.order);
    const chosen = await askToOpenDispute(this.element, { lang, keeping, orderId: this.orderId, hint });
    if (chosen) outbox.openDispute(this.orderId, chosen, this.#thread.dispute?.etag ?? '"none"', this.#thread.lastSeq);
    if (chosen) this.#toBottom();
  }

  async #closeDispute() {
    const { lang, keeping, outbox, caller } = this.#session;
    const { etag, opened_by: openedBy } = this.#thread.dispute;
    const asked = { lang, keeping, orderId: this.orderId, side: caller.side, openedBy: openedBy.side };
    const chosen = await askToCloseDispute(this.element, asked);
    if (chosen) outbox.closeDispute(this.orderId, chosen, etag, this.#thread.lastSeq);
    if (chosen) this.#toBottom();
  }

  async #redact(message) {
    const { lang, api } = this.#session;
    let isDone = false;
    const act = async (chosen) => {
      const { status } = await api.write("POST", orderPath(this.orderId, `/messages/${message.id}/redact`), chosen);
      isDone = status === 200;
    };
    if (!(await askToRedact(this.element, { lang, name: message.author.name, act }))) return;
    if (isDone) this.#thread.redact(message.id);
    else this.#notice = lang.t("accepted");
    this.render();
  }

  async #loadOlder() {
    const { history, older } = this.#parts;
    if (older.disabled) return;
    older.disabled = true;
    const fromBottom = history.scrollHeight - history.scrollTop;
    try {
      await this.#thread.loadOlder();
      this.#notice = null;
    } catch (error) {
      if (!error.status && !error.isPassing) throw error;
      this.#notice = `${this.#session.lang.t("failed")} ${reasonOf(this.#session.lang, error)}`;
    }
    this.render();
    history.scrollTop = history.scrollHeight - fromBottom;
    older.disabled = false;
  }

  #onScroll() {
    if (this.#parts.history.scrollTop < NEAR_BOTTOM_PX && this.#thread.hasOlder) this.#loadOlder();
    if (this.#isAtBottom() && this.#missedBelow > 0) this.#missedBelow = 0;
    this.#renderJump();
  }

  #isAtBottom() {
    const { history } = this.#parts;
    return history.scrollHeight - history.scrollTop - history.clientHeight < NEAR_BOTTOM_PX;
  }

  #toBottom() {
    const { history } = this.#parts;
    this.#missedBelow = 0;
    this.render();
    history.scrollTop = history.scrollHeight;
  }

  #toFirstNew() {
    const { history, list } = this.#parts;
    const separator = list.querySelector(".separator.new");
    history.scrollTop = separator ? separator.offsetTop - history.clientHeight / 4 : history.scrollHeight;
  }

  /** Brings what is shown up to what is known. */
  render() {
    const wasAtBottom = this.#isAtBottom();
    const focused = this.#focused();
    this.#renderHead();
    this.#renderBanner();
    this.#renderSheet();
    this.#renderHistory();
    this.#renderJump();
    this.#box.show(this.#thread.state === "ready" && this.#thread.may("post"));
    if (wasAtBottom && this.#thread.state === "ready") this.#parts.history.scrollTop = this.#parts.history.scrollHeight;
    if (focused !== null && this.#focused() === null) this.#catchFocus(focused);
    this.#options.onThread(this.#thread);
  }

  /** Which part has the focus: "sheet", "history" or "other"; null where it is not in here. */
  #focused() {
    const { sheet, history } = this.#parts;
    const { activeElement } = this.element.getRootNode();
    if (!this.element.contains(activeElement)) return null;
    return sheet.contains(activeElement) ? "sheet" : history.contains(activeElement) ? "history" : "other";
  }

  /** What had the focus is gone. */
  #catchFocus(part) {
    if (part === "sheet") this.#parts.sheet.closest("dialog")?.querySelector("button")?.focus();
    else if (part === "history") this.#parts.history.focus({ preventScroll: true });
    else this.focusTitle();
  }

  /** Fills a part anew when its signature changes, and only then: focus and what is open in it stay. */
  #part(element, signature, children) {
    if (this.#signatures.get(element) === signature) return;
    this.#signatures.set(element, signature);
    const focus = element.getRootNode().activeElement;
    const name = element.contains(focus) ? focus.dataset.focus : undefined;
    fill(element, children());
    if (name) element.querySelector(`[data-focus="${name}"]`)?.focus({ preventScroll: true });
  }

  #renderHead() {
    const { lang, live, caller } = this.#session;
    const { back, card, heading, showConnection } = this.#options;
    const { view, orderId, state } = this.#thread;
    const tools = this.#tools();
    const signature = JSON.stringify([lang.tag, state, live.state, view?.order.version, signatureOf(tools)]);
    this.#part(this.#parts.head, signature, () => [
      back &&
        h("a", { class: "back", href: back.href, data: { to: back.to, focus: "back" } }, icon("back"), h("span", {}, back.words)),
      h(
        "div",
        { class: "who" },
        h(
          heading,
          { class: "title", tabindex: -1, data: { focus: "title" } },
          view ? partyNames(lang, caller.side, view.order) : h("bdi", {}, lang.t("order", { id: orderId })),
        ),
        h(
          "p",
          { class: "subtitle" },
          h("span", {}, lang.t("order", { id: orderId })),
          view && h("span", {}, statusWords(lang, caller.side, view.order.status)),
          (showConnection || live.state === "polling") && connection(lang, live.state),
        ),
      ),
      h("div", { class: "tools" }, tools),
      card && view && this.#sheetButton("order_details", "more"),
    ]);
  }

  /** What can be done with the conversation, besides writing. */
  #tools() {
    const { lang } = this.#session;
    if (!this.#thread.view) return [];
    const canOpen = this.#thread.may("open_dispute") && !this.#pending().some((item) => item.kind === "open");
    const report = () => button({ words: lang.t("dispute.report"), name: "dispute", symbol: "alert", onClick: this.#leaveSheet(() => this.#report()) });
    return [...this.#options.tools(this.#thread), canOpen && report()].filter(Boolean);
  }

  #sheetButton(name, symbol) {
    const words = this.#session.lang.t("more_about");
    return h(
      "button",
      { type: "button", class: "button small sheet-button", data: { focus: name }, on: { click: () => this.#openSheet() } },
      icon(symbol),
      h("span", {}, words),
    );
  }

  #renderBanner() {
    const { lang, live, outbox } = this.#session;
    const trouble = outbox.trouble(this.orderId) ?? { away: live.trouble, "signed-out": "signed-out" }[live.state];
    this.#part(this.#parts.banner, JSON.stringify([this.#disputeSignature(), trouble, this.#notice]), () => [
      this.#notice !== null && noticeBanner(lang, this.#notice, () => ((this.#notice = null), this.render())),
      trouble && troubleBanner(lang, trouble, () => (live.retry(), outbox.retry())),
      this.#disputeNotice(),
    ]);
  }

  #renderSheet() {
    const tools = this.#tools();
    this.#part(this.#parts.sheet, JSON.stringify([this.#disputeSignature(), signatureOf(tools)]), () => [
      this.#disputeNotice(),
      h("div", { class: "buttons" }, tools),
    ]);
  }

  #canClose() {
    const { isDisputed } = this.#thread;
    return isDisputed && this.#thread.may("close_dispute") && !this.#pending().some((item) => item.kind === "close");
  }

  #disputeSignature() {
    const { isDisputed, dispute } = this.#thread;
    return [this.#session.lang.tag, isDisputed && dispute.id, this.#canClose()];
  }

  /** The open dispute: what it is about, whose it is, what happens next, and what the reader can do. */
  #disputeNotice() {
    const { lang, caller } = this.#session;
    const { dispute, isDisputed } = this.#thread;
    if (!isDisputed) return null;
    const close = { words: lang.t("dispute.close"), name: "dispute", onClick: this.#leaveSheet(() => this.#closeDispute()) };
    const answer = { words: lang.t("dispute.answer"), name: "answer", onClick: this.#leaveSheet(() => this.#box.focus()) };
    return h(
      "div",
      { class: "banner dispute" },
      icon("alert"),
      h(
        "p",
        {},
        h("strong", {}, lang.t("dispute.is_open", { what: lang.known("reason", dispute.reason) })),
        " ",
        h(
          "span",
          { class: "by" },
          lang.t("dispute.opened_by", { name: this.#nameOf(dispute.opened_by), when: lang.moment(dispute.opened_at) }),
        ),
        " ",
        h("span", { class: "next" }, lang.t(`dispute.next.${caller.side}`)),
      ),
      caller.side === "seller" && button(answer),
      this.#canClose() && button(close),
      this.#options.card && this.#sheetButton("dispute_details", "down"),
    );
  }

  #renderHistory() {
    const { lang, caller, outbox } = this.#session;
    const { older, empty, list, history } = this.#parts;
    const { state, messages, hasOlder } = this.#thread;
    const pending = this.#pending();
    older.hidden = state !== "ready" || !hasOlder;
    history.setAttribute("aria-busy", String(state === "loading"));
    empty.hidden = state === "ready" && (messages.length > 0 || pending.length > 0);
    if (!empty.hidden) this.#part(empty, `${lang.tag} ${state} ${this.#thread.problem?.code}`, () => this.#inPlaceOfHistory(state));
    const actions = {
      isTroubled: outbox.trouble(this.orderId) !== null,
      again: (item) => this.#again(item),
      edit: (item) => (this.#box.put(item.body.text), outbox.remove(this.orderId, item.key)),
      discard: (item) => outbox.remove(this.orderId, item.key),
      redact: this.#thread.may("redact") ? (message) => this.#redact(message) : null,
    };
    const { order } = this.#thread.view ?? {};
    const people = {
      house: (author) => (order ? houseOf(lang, caller.side, order, author) : null),
      isSeen: (message) => this.#thread.isSeen(message.seq),
    };
    sync(list, rows({ lang, side: caller.side, people, messages, pending, newFrom: this.#newFrom, actions }));
    this.#reading.look(list);
  }

  #nameOf(author) {
    const { lang, caller } = this.#session;
    return nameInFull(lang, caller.side, this.#thread.view.order, author);
  }

  /** The outbox's items less those that have already come back as entries, before the answer to them. */
  #pending() {
    const claimed = new Set();
    return this.#session.outbox.items(this.orderId).filter((item) => {
      const entry = this.#thread.messages.find((message) => !claimed.has(message.id) && isEntryOf(item, message));
      if (entry) claimed.add(entry.id);
      return !entry;
    });
  }

  #inPlaceOfHistory(state) {
    const { lang } = this.#session;
    if (state === "loading")
      return [1, 2, 3].map((each) => h("div", { class: `skeleton bubble-${each}`, "aria-hidden": "true" }));
    if (state === "ready")
      return [
        icon("message"),
        h("p", { class: "strong" }, lang.t("empty.conversation")),
        h("p", {}, lang.t("empty.conversation_hint")),
      ];
    if (state === "missing") {
      const isGuest = this.#session.caller.role === "guest";
      const [title, hint] = isGuest ? ["signed_out.link_ended", "signed_out_hint.link_ended"] : ["missing", "missing_hint"];
      return [icon("search"), h("p", { class: "strong" }, lang.t(title)), h("p", {}, lang.t(hint))];
    }
    return [
      icon("alert"),
      h("p", { class: "strong" }, lang.t("failed")),
      h("p", {}, reasonOf(lang, this.#thread.problem)),
      h("button", { type: "button", class: "button", on: { click: () => this.#catchUp(true) } }, lang.t("try_again")),
    ];
  }

  #renderJump() {
    const { jump } = this.#parts;
    jump.hidden = this.#thread.state !== "ready" || this.#isAtBottom();
    const { lang } = this.#session;
    const words = this.#missedBelow > 0 ? lang.t("n_new", { n: this.#missedBelow }) : lang.t("to_newest");
    this.#part(jump, words, () => [icon("down"), words]);
  }
}

function button({ words, name, symbol, onClick }) {
  return h(
    "button",
    { type: "button", class: "button small", data: { focus: name, signature: `${name} ${words}` }, on: { click: onClick } },
    symbol && icon(symbol),
    words,
  );
}

function signatureOf(tools) {
  return tools.map((tool) => tool.dataset.signature);
}

function isEntryOf(item, message) {
  if (item.commandId) return message.id === item.commandId;
  const kind = { post: "text", open: "dispute_opened", close: "dispute_closed" }[item.kind];
  return (
    item.state === "waiting" &&
    message.mine &&
    message.seq > item.seen &&
    message.kind === kind &&
    (message.text ?? "") === (item.body.text ?? item.body.note)
  );
}

/** Who will see a dispute that is opened, and who can close it. */
function whoWillSee(lang, side, order) {
  if (!isOfShop(order)) return lang.t("dispute.open_hint");
  return side === "shop" ? lang.t("dispute.open_hint.staff") : lang.t("dispute.open_hint.shop", { name: order.seller.name });
}
