// A list of orders or conversations, a page at a time, kept up to date by live events; and what stands above it: filters and search.

import { fill, h, icon, settled, sync } from "./dom.js";
import { reasonOf } from "./entries.js";

const QUIET_MS = 300;
const TYPING_MS = 300;
// What changes no row.
const UNLISTED = new Set(["state", "thread.seen"]);
// How far down a list somebody must be for it to hold: less is where it rests at its top.
const AT_TOP_PX = 8;
// How many rows are looked through, a page at a time, for the one that stays; further down it is asked for by itself.
const LOOK_THROUGH = 100;

export class ThreadList {
  #session;
  #options;
  #parts;
  #items = [];
  #next = null;
  #path = null;
  #state = "loading";
  #problem = null;
  #shows = 0;
  #asking = Promise.resolve();
  #end;
  #held = null;
  #hasPointer = false;
  #refreshSoon = settled(() => this.#refresh(), QUIET_MS);

  /**
   * `row(item)` gives `{signature, make}`; `empty()` the nodes to show where there is nothing; `label` names the list; `reset()` ends a
   * search; `stays()` is the order whose row is always there (the open one), or null; `onItems(items)` hears of every change.
   *
   * Rows stay in their places while a pointer or the focus is on them or somebody has scrolled down, and are only brought up to date: what
   * would move them is counted in a button, which brings it.
   */
  constructor(session, { row, empty, label, reset = null, stays = () => null, onItems = () => {} }) {
    this.#session = session;
    this.#options = { row, empty, reset, stays, onItems };
    const { lang } = session;
    const news = h("div", { class: "news", role: "status" });
    const rows = h("ol", { class: "rows", "aria-label": label });
    const found = h("div", { class: "found", hidden: true }, h("p", { role: "status" }));
    const state = h("div", { class: "middle" });
    const stale = h("div", { class: "stale", role: "status", hidden: true });
    const more = h(
      "button",
      { type: "button", class: "button more", hidden: true, on: { click: () => this.#showMore() } },
      lang.t("more"),
    );
    this.#parts = { news, found, rows, state, more, stale };
    this.element = h("div", { class: "list" }, news, found, rows, state, stale, more);
    this.#watchHands();
    this.#end = session.live.on((event) => this.#onLive(event));
  }

  #onLive({ kind, data }) {
    if (UNLISTED.has(kind) || this.#path === null) return;
    if (kind === "message.redacted") this.#redact(data);
    if (kind === "joined" || kind === "resync") this.#readAgain();
    this.#refreshSoon();
  }

  /** No events came for a while: rows beyond the first page are read again too, for a text may have been removed. They stay in their places. */
  async #readAgain() {
    const shows = this.#shows;
    let path = this.#path;
    for (let read = 0; path !== null && read < this.#items.length;) {
      const page = await this.#session.api.get(path).catch(() => null);
      if (page === null || page.items.length === 0 || shows !== this.#shows) return;
      const found = new Map(page.items.map((item) => [idOf(item), item]));
      this.#items = this.#items.map((item) => found.get(idOf(item)) ?? item);
      read += page.items.length;
      path = page.next;
    }
    this.render();
  }

  /** A text that was removed is shown in no row any more, however far down that is. */
  #redact({ order_id: orderId, seq }) {
    const isOf = ({ order }, entry) => order.order_id === orderId && entry?.seq === seq;
    const without = (item) => {
      const { snippet, thread } = item;
      return {
        ...item,
        snippet: isOf(item, snippet) ? null : snippet,
        thread: isOf(item, thread.last) ? { ...thread, last: { ...thread.last, excerpt: null } } : thread,
      };
    };
    this.#items = this.#items.map(without);
    if (this.#held !== null) this.#held = this.#held.map(without);
    this.render();
  }

  get items() {
    return this.#items;
  }

  /** What holds the rows in their places: a mouse over them, a finger on them, the focus in them. A finger that has left holds nothing. */
  #watchHands() {
    const hold = () => (this.#hasPointer = true);
    const leave = () => ((this.#hasPointer = false), this.#release());
    this.element.addEventListener("pointerenter", hold);
    this.element.addEventListener("pointerdown", hold);
    this.element.addEventListener("pointerleave", leave);
    this.element.addEventListener("pointercancel", leave);
    this.element.addEventListener("focusout", () => setTimeout(() => this.#release()));
    this.element.addEventListener("scroll", () => this.#release(), { passive: true });
  }

  #isHolding() {
    return this.#hasPointer || this.#hasFocus() || this.element.scrollTop > AT_TOP_PX;
  }

  #hasFocus() {
    return this.element.contains(this.element.getRootNode().activeElement);
  }

  /** Shows what was held back, once nothing holds the rows any more; `now` is at somebody's word. */
  #release(now = false) {
    if (this.#held === null || (!now && this.#isHolding())) return;
    this.#items = this.#held;
    this.#held = null;
    const had = this.#hasFocus();
    this.render();
    if (now) this.element.scrollTop = 0;
    if (had && !this.#hasFocus()) this.#focusRow(0);
  }

  #focusRow(place) {
    this.#parts.rows.children[place]?.querySelector("a")?.focus();
  }

  close() {
    this.#end();
    this.#refreshSoon.cancel();
    this.#path = null;
  }

  /** Shows what this path lists: `/v1/threads?filter=unread`. */
  async show(path) {
    this.#path = path;
    this.#state = "loading";
    this.#items = [];
    this.#held = null;
    this.#next = null;
    this.#problem = null;
    this.#shows += 1;
    this.#asking = Promise.resolve();
    this.render();
    await this.#load(
      () => path,
      (page) => {
        this.#items = page.items;
        this.#next = page.next;
      },
    );
    await this.bringStaying();
  }

  /** Sees to it that the row that stays is there: from the pages that follow, or else asked for by itself, and put first. Not among hits. */
  async bringStaying() {
    const shows = this.#shows;
    const isMissing = () => {
      const orderId = this.#options.stays();
      return shows === this.#shows && this.#state === "ready" && orderId !== null && !this.#isSearch && !this.#has(orderId);
    };
    while (isMissing() && this.#next !== null && this.#items.length < LOOK_THROUGH) {
      const before = this.#items.length;
      await this.#loadMore();
      if (this.#items.length === before) break;
    }
    if (!isMissing()) return;
    const orderId = this.#options.stays();
    await this.#load(
      () => listPath("/v1/threads", { q: orderId }),
      (page) => {
        const found = page.items.find((item) => idOf(item) === orderId);
        if (found && !this.#has(orderId)) this.#items = [{ ...found, snippet: null }, ...this.#items];
      },
    );
  }

  get #isSearch() {
    return this.#path !== null && new URLSearchParams(this.#path.split("?")[1]).has("q");
  }

  #has(orderId) {
    return this.#items.some((item) => idOf(item) === orderId);
  }

  /** Reads the first page again; what was read beyond it stays. */
  async #refresh() {
    await this.#load(
      () => this.#path,
      (page) => {
        const known = this.#items;
        const fresh = new Set(page.items.map(idOf));
        const pageSize = page.items.length;
        const rest = known.slice(pageSize).filter((item) => !fresh.has(idOf(item)));
        const reachesFurther = known.length > pageSize && page.next !== null;
        this.#put(this.#withStaying(reachesFurther ? [...page.items, ...rest] : page.items, known));
        if (!reachesFurther) this.#next = page.next;
      },
    );
  }

  /** Shows these items; while the rows are held, in the places that they have, and what is new waits. */
  #put(items) {
    const isMoved = items.some((item, index) => idOf(item) !== (this.#items[index] && idOf(this.#items[index])));
    if (!isMoved || !this.#isHolding()) {
      this.#items = items;
      this.#held = null;
      return;
    }
    const fresh = new Map(items.map((item) => [idOf(item), item]));
    this.#held = items;
    this.#items = this.#items.map((item) => fresh.get(idOf(item)) ?? item);
  }

  /** How many rows wait to come up: those that will stand above one which they stand beneath now, or do not stand yet. */
  #waiting() {
    if (this.#held === null) return 0;
    const places = new Map(this.#items.map((item, index) => [idOf(item), index]));
    const place = (item) => places.get(idOf(item)) ?? Infinity;
    let above = Infinity;
    return this.#held.toReversed().filter((item) => {
      const comesUp = place(item) > above;
      above = Math.min(above, place(item));
      return comesUp;
    }).length;
  }

  #withStaying(items, known) {
    const place = known.findIndex((item) => idOf(item) === this.#options.stays());
    if (place < 0 || items.some((item) => idOf(item) === this.#options.stays())) return items;
    const kept = { ...known[place], thread: { ...known[place].thread, unread: 0 } };
    return items.toSpliced(place, 0, kept);
  }

  /** The button goes further down, or away: whoever pressed it goes on with the first row that came. */
  async #showMore() {
    const { more } = this.#parts;
    const place = this.#items.length;
    await this.#loadMore();
    if (!this.#hasFocus() || more.getRootNode().activeElement === more) this.#focusRow(place);
  }

  async #loadMore() {
    await this.#load(
      () => this.#next,
      (page) => {
        const added = (items) => [...items, ...page.items.filter((item) => !items.some((each) => idOf(each) === idOf(item)))];
        this.#items = added(this.#items);
        if (this.#held !== null) this.#held = added(this.#held);
        this.#next = page.next;
      },
    );
  }

  /** One question after another; an answer to a question about another list does not count. */
  #load(path, take) {
    const shows = this.#shows;
    this.#asking = this.#asking.then(
      () => shows === this.#shows && this.#path !== null && path() !== null && this.#ask(path(), take, shows),
    );
    return this.#asking;
  }

  async #ask(path, take, shows) {
    try {
      const page = await this.#session.api.get(path);
      if (shows !== this.#shows) return;
      take(page);
      this.#state = "ready";
      this.#problem = null;
    } catch (error) {
      if (shows !== this.#shows) return;
      if (!error.status && !error.isPassing) throw error;
      this.#problem = error;
      if (this.#items.length === 0) this.#state = "failed";
    }
    this.render();
  }

  render() {
    const { rows, state, more, stale } = this.#parts;
    this.#renderNews();
    sync(
      rows,
      this.#items.map((item) => ({ key: idOf(item), ...this.#options.row(item) })),
    );
    rows.hidden = this.#items.length === 0;
    more.hidden = this.#next === null;
    this.#renderFound();
    state.hidden = this.#items.length > 0;
    if (!state.hidden) fill(state, this.#inPlaceOfRows());
    stale.hidden = this.#items.length === 0 || this.#problem === null;
    fill(stale, stale.hidden ? [] : this.#whyStale());
    this.element.setAttribute("aria-busy", String(this.#state === "loading"));
    this.#options.onItems(this.#items);
  }

  /** What is shown could not be brought up to date, or continued. */
  #whyStale() {
    const { lang } = this.#session;
    const onClick = () => this.#refresh();
    return [
      h("p", {}, `${lang.t("failed")} ${reasonOf(lang, this.#problem)}`),
      h("button", { type: "button", class: "button small", on: { click: onClick } }, lang.t("try_again")),
    ];
  }

  /** How many a search has found, said when it is known, and the way out of it. */
  #renderFound() {
    const { lang } = this.#session;
    const { found } = this.#parts;
    const isSearch = this.#isSearch;
    found.hidden = !isSearch || this.#state === "failed";
    const n = this.#items.length;
    const words = lang.t(this.#next === null ? "found" : "found_so_far", { n });
    const [said] = found.children;
    if (!isSearch || this.#state !== "ready") said.textContent = "";
    else if (said.textContent !== words) said.textContent = words;
    if (found.children.length === 1 && this.#options.reset)
      found.append(
        h("button", { type: "button", class: "button quiet small", on: { click: this.#options.reset } }, icon("close"), lang.t("search_reset")),
      );
  }

  #renderNews() {
    const { lang } = this.#session;
    const { news } = this.#parts;
    const n = this.#waiting();
    if (news.dataset.n === String(n)) return;
    news.dataset.n = n;
    const onClick = () => this.#release(true);
    fill(
      news,
      n > 0 && h("button", { type: "button", class: "button small primary", on: { click: onClick } }, icon("up"), lang.t("n_new", { n })),
    );
  }

  #inPlaceOfRows() {
    const { lang } = this.#session;
    if (this.#state === "loading") return [1, 2, 3, 4].map(() => h("div", { class: "skeleton", "aria-hidden": "true" }));
    if (this.#state === "ready") return this.#options.empty();
    const onClick = () => this.show(this.#path);
    return [
      icon("alert"),
      h("p", { class: "strong" }, lang.t("failed")),
      h("p", {}, reasonOf(lang, this.#problem)),
      h("button", { type: "button", class: "button", on: { click: onClick } }, lang.t("try_again")),
    ];
  }
}

function idOf(item) {
  return item.order.order_id;
}

/** The path of a list with what is asked of it; what is empty is left out. */
export function listPath(path, asked) {
  const query = new URLSearchParams(Object.entries(asked).filter(([, value]) => value));
  return query.size > 0 ? `${path}?${query}` : path;
}

export function filters(app, { lang, name, choices, chosen, label, query = {} }) {
  const link = (choice) => {
    const to = listPath(name, { filter: choice === "all" ? "" : choice, ...query });
    return h(
      "li",
      {},
      h(
        "a",
        { href: app.addressOf(to), "aria-current": choice === chosen && "true", data: { to, focus: `filter:${choice}` } },
        lang.t(`filter.${choice}`),
      ),
    );
  };
  return h("nav", { class: "filters", "aria-label": label }, h("ul", {}, choices.map(link)));
}

/** Calls back with what is sought, a moment after the typing: `{element, reset}`. */
export function searchField(lang, q, onSought) {
  const input = h("input", {
    type: "search",
    value: q,
    maxlength: 100,
    placeholder: lang.t("search"),
    "aria-label": lang.t("search"),
    autocomplete: "off",
  });
  const sought = settled(() => onSought(input.value.trim()), TYPING_MS);
  input.addEventListener("input", sought);
  const onSubmit = (event) => (event.preventDefault(), sought());
  const reset = () => {
    input.value = "";
    input.focus();
    onSought("");
  };
  const element = h("form", { class: "search", role: "search", on: { submit: onSubmit } }, icon("search"), input);
  return { element, reset };
}
