// The pages' frame: who is signed in, which page is shown, the badge in the title, and the way from one page to the next.

import { connection } from "./connection.js";
import { fill, h, icon, settled } from "./dom.js";
import { LANGUAGES, load, remember } from "./language.js";
import { ROOT, where } from "./start.js";
import { FetchedToken, SignedOut, StoredToken } from "./tokens.js";
import { loginAddress } from "./way_back.js";

const { login: LOGIN = "", tokenUrl: TOKEN_URL = "" } = document.documentElement.dataset;
const QUIET_MS = 400;
const SAID_FOR_MS = 8_000;

export class App {
  session = null;
  #lang;
  #page = null;
  #me = null;
  #parts;
  #sayTimer = null;
  #askMeSoon = settled(() => this.#askMe(), QUIET_MS);

  constructor(lang) {
    this.#lang = lang;
    this.#parts = {
      header: h("header", { class: "top" }),
      main: h("main", { id: "main", tabindex: -1 }),
      said: h("div", { class: "said", role: "status" }),
    };
  }

  /** `signedIn` is the promise of a session. */
  async start(signedIn) {
    this.#lang.dress(document.documentElement);
    fill(
      document.body,
      h(
        "a",
        { class: "skip", href: "#main", on: { click: (event) => (event.preventDefault(), this.#parts.main.focus()) } },
        this.#lang.t("skip"),
      ),
      this.#parts.header,
      this.#parts.main,
      this.#parts.said,
    );
    addEventListener("popstate", () => this.#show());
    addEventListener("error", ({ error }) => error && this.#sayFailed());
    addEventListener("unhandledrejection", () => this.#sayFailed());
    document.addEventListener("click", (event) => this.#onClick(event));
    try {
      this.session = await signedIn;
    } catch (error) {
      if (error instanceof SignedOut) return this.#showSignedOut(error.why);
      this.#showAway();
      if (error instanceof TypeError) return undefined;
      throw error;
    }
    this.session.lang = this.#lang;
    this.session.live.on((event) => this.#onLive(event));
    if (this.session.live.state === "signed-out") return this.#showExpired();
    await this.#show();
    return this.#askMe();
  }

  /** Goes to a page: `go("orders/1042")`. */
  go(to) {
    history.pushState(null, "", this.addressOf(to));
    return this.#show({ focus: true });
  }

  addressOf(to) {
    return ROOT + to;
  }

  /** The address of what is shown has changed, and nothing else. */
  replaceAddress(to) {
    history.replaceState(null, "", this.addressOf(to));
  }

  /** Says something that went wrong, for a while. */
  say(words) {
    const close = h(
      "button",
      {
        type: "button",
        class: "button quiet icon-only",
        "aria-label": this.#lang.t("close"),
        on: { click: () => fill(this.#parts.said) },
      },
      icon("close"),
    );
    fill(this.#parts.said, h("p", {}, words), close);
    clearTimeout(this.#sayTimer);
    this.#sayTimer = setTimeout(() => fill(this.#parts.said), SAID_FOR_MS);
  }

  /** What nobody has foreseen is said too; the details are in the browser's console. */
  #sayFailed() {
    this.say(this.#lang.t("problem.internal"));
  }

  #onClick(event) {
    const link = event.target.closest?.("a[data-to]");
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.go(link.dataset.to);
  }

  #onLive({ kind, data }) {
    if (kind === "state") {
      if (data === "signed-out") return this.#showExpired();
      return this.#renderHeader();
    }
    return kind === "thread.seen" ? undefined : this.#askMeSoon();
  }

  async #askMe() {
    try {
      this.#me = await this.session.api.get("/v1/me");
    } catch (error) {
      if (!error.status && !error.isPassing) throw error;
    }
    this.#renderHeader();
    this.#renderTitle();
  }

  /** Shows the page of the address; only what changed is made anew. */
  async #show({ focus = false } = {}) {
    const asked = new URLSearchParams(location.search);
    const [name, orderId = null] = where();
    const isDesk = ["seller", "shop"].includes(this.session.caller.side);
    if (isDesk) await this.#showDesk(orderId, asked);
    else await this.#showAccount(name, orderId, asked);
    this.#renderHeader();
    this.#renderTitle();
    if (focus) this.#page.focus();
  }

  async #showDesk(orderId, asked) {
    const { Desk } = await import("./desk.js");
    if (this.#page instanceof Desk && this.#page.shows(asked)) return this.#page.show(orderId);
    return this.#put(new Desk(this, orderId, asked));
  }

  async #showAccount(name, orderId, asked) {
    const { conversationPage, messagesPage, ordersPage } = await import("./customer.js");
    const { caller } = this.session;
    if (caller.role === "guest") return this.#put(conversationPage(this, caller.orderId));
    if (orderId !== null) return this.#put(conversationPage(this, orderId));
    return this.#put(name === "messages" ? messagesPage(this, asked) : ordersPage(this, asked));
  }

  #put(page) {
    const search = this.#parts.main.querySelector("input[type=search]");
    const wasSearching = search !== null && search === document.activeElement;
    this.#page?.close();
    this.#page = page;
    fill(this.#parts.main, page.element);
    if (wasSearching) this.#parts.main.querySelector("input[type=search]")?.focus();
    scrollTo(0, 0);
  }

  #renderTitle() {
    const { threads = 0, more = false, messages = 0 } = this.#me?.unread ?? {};
    const badge = threads > 0 ? `(${messages}${more ? "+" : ""}) ` : "";
    document.title = `${badge}${this.#page?.title ?? ""} · Parley`;
  }

  #renderHeader({ anew = false } = {}) {
    const lang = this.#lang;
    const { header } = this.#parts;
    if (this.session === null) return;
    const { caller, live } = this.session;
    const unread = this.#me?.unread;
    const [name] = where();
    const pages = { customer: ["orders", "messages"], guest: [], seller: ["desk"], admin: ["desk"] }[caller.role] ?? [];
    const isConversation = location.pathname.startsWith(`${ROOT}orders/`);
    const current = isConversation ? "messages" : (name ?? pages[0]);
    const brand = { customer: "account", seller: "brand.seller", admin: "brand.admin" }[caller.role] ?? "brand";
    const signature = JSON.stringify([lang.tag, live.state, unread, this.#me?.open_disputes, current, location.search]);
    if (header.dataset.signature === signature && !anew) return;
    header.dataset.signature = signature;
    const focused = header.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    fill(
      header,
      h("p", { class: "brand" }, icon("message"), h("span", {}, lang.t(brand))),
      pages.length > 0 &&
        h(
          "nav",
          { class: "pages", "aria-label": lang.t("pages") },
          h(
            "ul",
            {},
            pages.map((page) => this.#pageLink(page, current, unread)),
            pages.includes("desk") && this.#disputesLink(),
          ),
        ),
      h(
        "div",
        { class: "top-end" },
        connection(lang, live.state),
        this.#languageChoice(),
        caller.role !== "guest" && this.#personTools(caller),
      ),
    );
    if (focused) header.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  #pageLink(page, current, unread) {
    const lang = this.#lang;
    const badge = page !== "orders" && unread?.threads > 0;
    return h(
      "li",
      {},
      h(
        "a",
        { href: this.addressOf(page), "aria-current": page === current && "page", data: { to: page, focus: `page:${page}` } },
        lang.t(page),
        badge &&
          h(
            "span",
            { class: "badge", "aria-label": lang.t("n_new", { n: unread.messages }) },
            `${lang.number(unread.messages)}${unread.more ? "+" : ""}`,
          ),
      ),
    );
  }

  /** What is disputed stands beside what is new: for those who answer it. */
  #disputesLink() {
    const lang = this.#lang;
    const { threads = 0, more = false } = this.#me?.open_disputes ?? {};
    if (threads === 0) return null;
    const to = "desk?filter=disputed";
    const isCurrent = new URLSearchParams(location.search).get("filter") === "disputed";
    const words = lang.t("n_disputes", { n: threads });
    return h(
      "li",
      {},
      h(
        "a",
        {
          class: "disputes",
          href: this.addressOf(to),
          title: words,
          "aria-label": words,
          "aria-current": isCurrent && "true",
          data: { to, focus: "page:disputes" },
        },
        icon("alert"),
        h("span", { class: "badge" }, `${lang.number(threads)}${more ? "+" : ""}`),
      ),
    );
  }

  #languageChoice() {
    const options = Object.entries(LANGUAGES).map(([tag, name]) =>
      h("option", { value: tag, lang: tag, selected: tag === this.#lang.tag }, name),
    );
    const onChange = (event) => this.#speak(event.target.value);
    return h(
      "select",
      { class: "language", "aria-label": this.#lang.t("language"), data: { focus: "language" }, on: { change: onChange } },
      options,
    );
  }

  #personTools(caller) {
    const lang = this.#lang;
    return [
      h(
        "button",
        {
          type: "button",
          class: "button quiet icon-only",
          "aria-label": lang.t("mails"),
          title: lang.t("mails"),
          data: { focus: "mails" },
          on: { click: () => this.#chooseMails() },
        },
        icon("settings"),
      ),
      h(
        "button",
        {
          type: "button",
          class: "button quiet icon-only",
          "aria-label": lang.t("sign_out", { name: caller.name }),
          title: lang.t("sign_out", { name: caller.name }),
          data: { focus: "out" },
          on: { click: () => this.#signOut() },
        },
        icon("out"),
      ),
    ];
  }

  async #speak(tag) {
    try {
      this.#lang = await load(tag, tag);
    } catch {
      this.say(`${this.#lang.t("failed")} ${this.#lang.t("problem.unreachable")}`);
      return void this.#renderHeader({ anew: true });
    }
    remember(tag);
    this.#lang.dress(document.documentElement);
    this.session.lang = this.#lang;
    this.#page.close();
    this.#page = null;
    await this.#show();
  }

  async #chooseMails() {
    const { askPreferences } = await import("./dialogs.js");
    const { api, caller } = this.session;
    try {
      const paths = caller.role === "admin" ? ["/v1/shop/preferences", "/v1/me/preferences"] : ["/v1/me/preferences"];
      const found = await Promise.all(paths.map((path) => api.get(path)));
      const mailboxes = found.map((preferences, index) => ({ preferences, ...this.#mailbox(paths[index]) }));
      let answers = [];
      const act = async (chosen) =>
        void (answers = await Promise.all(paths.map((path, index) => api.write("PUT", path, chosen[index]))));
      const chosen = await askPreferences(document.body, { lang: this.#lang, languages: LANGUAGES, mailboxes, act });
      if (chosen) this.say(this.#lang.t(answers.every(({ status }) => status === 200) ? "saved" : "accepted"));
    } catch (error) {
      const { reasonOf } = await import("./entries.js");
      this.say(reasonOf(this.#lang, error));
    }
  }

  /** An administrator has two: the shop's, which all of its staff share, and their own, for the orders that they watch. */
  #mailbox(path) {
    const lang = this.#lang;
    if (this.session.caller.role !== "admin") return {};
    return path === "/v1/me/preferences"
      ? { title: lang.t("mails.own") }
      : { title: lang.t("mails.shop"), hint: lang.t("mails.shop_hint"), unchosen: lang.t("mails.language_of_shop") };
  }

  #signOut() {
    StoredToken.forget();
    this.#showSignedOut("out");
  }

  #showExpired() {
    return this.#showSignedOut(this.session.tokens.why ?? "expired");
  }

  /** Says why nobody is signed in, and leads to the sign-in and back to this very page. */
  #showSignedOut(why) {
    const lang = this.#lang;
    const known = [`signed_out.${why}`, `signed_out_hint.${why}`];
    const [title, hint] = known[0] in lang.words ? known : ["signed_out", "signed_out_hint"];
    this.#page?.close();
    this.#page = null;
    this.session?.end();
    this.#ownPage(title, [
      h("p", {}, lang.t(hint)),
      LOGIN && h("a", { class: "button primary", href: loginAddress(LOGIN, location) }, lang.t("sign_in")),
    ]);
    if (TOKEN_URL && why !== "out") this.#comeBack();
  }

  /** Somebody who has signed in to the shop meanwhile, in another tab, goes on here without doing anything. */
  #comeBack() {
    const look = async () => {
      try {
        await new FetchedToken(TOKEN_URL).current();
      } catch (error) {
        if (error instanceof SignedOut || error instanceof TypeError) return;
        throw error;
      }
      location.reload();
    };
    addEventListener("focus", look);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
  }

  #showAway() {
    const lang = this.#lang;
    this.#ownPage("failed", [
      h("button", { type: "button", class: "button", on: { click: () => location.reload() } }, lang.t("try_again")),
    ]);
  }

  #ownPage(title, content) {
    const lang = this.#lang;
    fill(this.#parts.header, h("p", { class: "brand" }, icon("message"), h("span", {}, lang.t("brand"))));
    fill(
      this.#parts.main,
      h("div", { class: "page" }, h("div", { class: "middle card", role: "alert" }, h("h1", { class: "title" }, lang.t(title)), content)),
    );
    document.title = `${lang.t(title)} · Parley`;
  }
}
