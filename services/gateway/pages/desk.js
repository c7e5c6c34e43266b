// The desk of sellers and of the shop's staff: the queue on one side, the conversation and its order on the other.

import { orderPath } from "./api.js";
import { Conversation } from "./conversation.js";
import { bulkTools } from "./bulk.js";
import { lastMoment, unreadBadge } from "./customer.js";
import { fill, h, icon, spoken } from "./dom.js";
import { reasonOf } from "./entries.js";
import { disputeChip, itemsInShort, orderCard } from "./order_card.js";
import { excerpt, partyNames } from "./people.js";
import { ThreadList, filters, listPath, searchField } from "./thread_list.js";

const MARKS_AT_ONCE = 100;
const FILTERS = ["all", "unread", "disputed", "waiting"];
const ASKED = {
  all: {},
  unread: { filter: "unread" },
  disputed: { filter: "disputed", sort: "oldest_dispute" },
  waiting: { sort: "waiting" },
};

export class Desk {
  #app;
  #list;
  #filter;
  #q;
  #selected = new Set();
  #open = null;
  #shown = null;
  #parts;

  constructor(app, orderId, asked) {
    this.#app = app;
    this.#filter = FILTERS.includes(asked.get("filter")) ? asked.get("filter") : "all";
    this.#q = asked.get("q") ?? "";
    this.#parts = this.#build();
    this.element = this.#parts.root;
    this.#show();
    if (orderId !== null) this.show(orderId);
    else this.#showNothing();
  }

  get title() {
    return this.#open === null ? this.#lang.t("desk") : this.#lang.t("order", { id: this.#open.orderId });
  }

  get #lang() {
    return this.#app.session.lang;
  }

  #build() {
    const lang = this.#lang;
    this.#list = new ThreadList(this.#app.session, {
      row: (item) => this.#row(item),
      empty: () => [
        icon("message"),
        h("p", { class: "strong" }, lang.t(this.#q || this.#filter !== "all" ? "empty.filter" : "empty.desk")),
      ],
      label: lang.t("desk"),
      reset: () => search.reset(),
      stays: () => this.#open?.orderId ?? null,
      onItems: (items) => this.#onItems(items),
    });
    const heading = h("h2", { class: "title", tabindex: -1 }, lang.t("desk"));
    const search = searchField(lang, this.#q, (q) => ((this.#q = q), this.#app.replaceAddress(this.#address()), this.#show()));
    const selection = h("div", { class: "selection", hidden: true });
    const bulk = bulkTools(this.#app, { selectAll: () => this.#selectAll() });
    const names = filters(this.#app, {
      lang,
      name: "desk",
      choices: FILTERS,
      chosen: this.#filter,
      label: lang.t("show"),
      query: { q: this.#q },
    });
    const queue = h(
      "section",
      { class: "queue", "aria-label": lang.t("desk") },
      h("div", { class: "queue-head" }, heading, search.element, names, bulk, selection),
      this.#list.element,
    );
    const pane = h("div", { class: "pane" });
    // Where there is room for one of the two alone, the page has its heading all the same.
    const name = lang.t(this.#app.session.caller.side === "seller" ? "brand.seller" : "brand.admin");
    const root = h("div", { class: "page fill desk" }, h("h1", { class: "sr" }, name), queue, pane);
    this.#list.element.addEventListener("keydown", (event) => this.#onKey(event));
    return { root, heading, selection, pane };
  }

  close() {
    this.#list.close();
    this.#open?.close();
  }

  focus() {
    if (this.#open === null) this.#parts.heading.focus({ preventScroll: true });
    else this.#open.focusTitle();
  }

  /** Whether this desk can show that address without being made anew. */
  shows(asked) {
    return (asked.get("filter") ?? "all") === this.#filter && (asked.get("q") ?? "") === this.#q;
  }

  /** Shows a conversation in the pane (null: none). */
  show(orderId) {
    if ((this.#open?.orderId ?? null) === orderId && orderId !== null) return;
    this.#open?.close();
    this.#open = null;
    if (orderId === null) this.#showNothing();
    else this.#showConversation(orderId);
    this.#list.render();
    this.#list.bringStaying();
  }

  #showNothing() {
    this.#parts.root.dataset.open = "no";
    this.#bringIntoView(this.#shown);
    fill(this.#parts.pane, h("div", { class: "middle" }, icon("message"), h("p", {}, this.#lang.t("desk.choose"))));
  }

  #showConversation(orderId) {
    const { session } = this.#app;
    const lang = this.#lang;
    const card = orderCard(session);
    const to = this.#address(null);
    const conversation = new Conversation(session, orderId, {
      heading: "h2",
      back: { to, href: this.#app.addressOf(to), words: lang.t("desk") },
      card: card.element,
      tools: (thread) => this.#tools(thread),
      onThread: (thread) => (card.show(thread.view), (card.element.hidden = thread.state === "missing")),
    });
    this.#open = conversation;
    this.#parts.root.dataset.open = "yes";
    this.#shown = null;
    fill(this.#parts.pane, conversation.element, h("aside", { "aria-label": lang.t("order_details") }, card.element));
    conversation.open();
  }

  #address(orderId = this.#open?.orderId ?? null) {
    const path = orderId === null ? "desk" : `desk/${encodeURIComponent(orderId)}`;
    return listPath(path, { filter: this.#filter === "all" ? "" : this.#filter, q: this.#q });
  }

  #show() {
    this.#selected.clear();
    return this.#list.show(listPath("/v1/threads", { ...ASKED[this.#filter], q: this.#q }));
  }

  #onItems(items) {
    const there = new Set(items.map((item) => item.order.order_id));
    for (const orderId of this.#selected) if (!there.has(orderId)) this.#selected.delete(orderId);
    this.#renderSelection();
    const orderId = this.#open?.orderId ?? null;
    if (orderId !== null && orderId !== this.#shown && there.has(orderId)) this.#bringIntoView(orderId);
  }

  /** Scrolls the queue so far that this row can be seen: once, when it is opened or the queue is come back to. */
  #bringIntoView(orderId) {
    const link = [...this.#list.element.querySelectorAll(".thread-row > a")].find((each) => each.dataset.focus === orderId);
    if (link) this.#shown = orderId;
    link?.closest("li").scrollIntoView({ block: "nearest" });
  }

  #row(item) {
    const { order, thread } = item;
    const lang = this.#lang;
    const id = order.order_id;
    const isOpen = this.#open?.orderId === id;
    const isSelected = this.#selected.has(id);
    const to = this.#address(id);
    const { caller } = this.#app.session;
    const waited = thread.waiting_since && lang.duration(thread.waiting_since);
    const make = () =>
      h(
        "li",
        { class: `thread-row ${thread.unread > 0 ? "unread" : ""} ${isOpen ? "open" : ""}` },
        h(
          "label",
          { class: "select" },
          h("input", {
            type: "checkbox",
            checked: isSelected,
            data: { focus: `select:${id}` },
            on: { change: (event) => this.#select(id, event.target.checked) },
          }),
          spoken(lang.t("select", { id })),
        ),
        h(
          "a",
          { href: this.#app.addressOf(to), "aria-current": isOpen && "true", data: { to, focus: id } },
          h(
            "span",
            { class: "thread-row-head" },
            h("span", { class: "names" }, partyNames(lang, caller.side, order)),
            lastMoment(lang, thread),
          ),
          h(
            "span",
            { class: "thread-row-order" },
            h("span", {}, lang.t("order", { id })),
            h("span", { dir: "auto" }, itemsInShort(lang, order)),
            disputeChip(lang, thread.dispute),
          ),
          h(
            "span",
            { class: "thread-row-newest" },
            h("span", { class: "thread-row-excerpt" }, excerpt(lang, caller.side, item)),
            waited !== null && this.#waitingChip(thread, waited),
            unreadBadge(lang, thread.unread),
          ),
        ),
      );
    return { signature: JSON.stringify([lang.tag, item, isOpen, isSelected, to, waited]), make };
  }

  #waitingChip(thread, waited) {
    const lang = this.#lang;
    return h(
      "span",
      { class: "chip waiting", title: lang.t("waiting_since", { when: lang.moment(thread.waiting_since) }) },
      icon("clock"),
      h("span", { "aria-hidden": "true" }, waited),
      spoken(lang.t("waiting_for", { duration: waited })),
    );
  }

  #select(orderId, is) {
    if (is) this.#selected.add(orderId);
    else this.#selected.delete(orderId);
    this.#list.render();
  }

  #selectAll() {
    for (const item of this.#list.items) this.#selected.add(item.order.order_id);
    this.#list.render();
  }

  #renderSelection() {
    const lang = this.#lang;
    const { selection } = this.#parts;
    selection.hidden = this.#selected.size === 0;
    const button = (words, name, onClick) =>
      h("button", { type: "button", class: "button small", on: { click: onClick } }, icon(name), words);
    fill(
      selection,
      h("p", { role: "status" }, lang.t("selected", { n: this.#selected.size })),
      button(lang.t("mark_read"), "accepted", () => this.#markSelected(async (item) => item.thread.last_seq)),
      button(lang.t("mark_unread"), "mail", () => this.#markSelected((item) => this.#beforeNewest(item))),
      button(lang.t("select_none"), "close", () => (this.#selected.clear(), this.#list.render())),
    );
  }

  async #markSelected(upTo) {
    const { api } = this.#app.session;
    const chosen = this.#list.items.filter((item) => this.#selected.has(item.order.order_id));
    const isDone = await this.#do(async () => {
      const marks = await Promise.all(
        chosen.map(async (item) => ({ order_id: item.order.order_id, up_to_seq: await upTo(item) })),
      );
      for (let from = 0; from < marks.length; from += MARKS_AT_ONCE)
        await api.write("POST", "/v1/threads/read", { threads: marks.slice(from, from + MARKS_AT_ONCE) });
    });
    if (!isDone) return;
    this.#selected.clear();
    this.#list.render();
  }

  /** Where a thread is marked so that the newest entry of the others is new again; a row knows its newest entry alone. */
  async #beforeNewest({ order, thread }) {
    const { api, caller } = this.#app.session;
    if (thread.last?.author.side !== caller.side) return Math.max(0, thread.last_seq - 1);
    const { items } = await api.get(orderPath(order.order_id, "/messages?limit=200"));
    return beforeNewest(items, caller.side);
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const stops = [...this.#list.element.querySelectorAll(".thread-row > a, .more:not([hidden])")];
    const place = stops.indexOf(event.target);
    const next = { ArrowDown: stops[place + 1], ArrowUp: stops[place - 1], Home: stops[0], End: stops.at(-1) }[event.key];
    if (place < 0 || !next) return;
    event.preventDefault();
    next.focus();
  }

  #tools(thread) {
    const lang = this.#lang;
    const isWatching = thread.view.watching;
    const tool = (name, words, onClick, pressed) =>
      h(
        "button",
        {
          type: "button",
          class: "button small",
          "aria-pressed": pressed,
          data: { focus: name, signature: `${name} ${words} ${pressed}` },
          on: { click: onClick },
        },
        icon(name),
        words,
      );
    return [
      thread.lastSeq > 0 && tool("mail", lang.t("mark_unread"), () => this.#markUnread(thread)),
      thread.may("watch") &&
        tool("eye", lang.t(isWatching ? "watching" : "watch"), () => this.#watch(thread), String(isWatching)),
    ].filter(Boolean);
  }

  /** Unread from the newest message of the others on; the conversation closes, or it would be read again at once. */
  async #markUnread(thread) {
    const upTo = beforeNewest(thread.messages, this.#app.session.caller.side);
    const isDone = await this.#do(() =>
      this.#app.session.api.write("PUT", orderPath(thread.orderId, "/read"), { up_to_seq: upTo }),
    );
    if (isDone) this.#app.go(this.#address(null));
  }

  async #watch(thread) {
    const method = thread.view.watching ? "DELETE" : "PUT";
    await this.#do(async () => {
      const { status, body } = await this.#app.session.api.write(method, orderPath(thread.orderId, "/watch"));
      if (status === 200) thread.view.watching = body.watching;
      else this.#app.say(this.#lang.t("accepted"));
    });
    this.#open?.render();
  }

  /** Does something small at once; where it fails, says why. */
  async #do(work) {
    try {
      await work();
      return true;
    } catch (error) {
      if (!error.status && !error.isPassing) throw error;
      this.#app.say(reasonOf(this.#lang, error));
      return false;
    }
  }
}

/** The place right before the newest entry of another side than this one; what a colleague wrote is new to nobody here. */
function beforeNewest(messages, side) {
  const newest = messages.findLast((message) => message.author.side !== side);
  return Math.max(0, (newest?.seq ?? 1) - 1);
}
