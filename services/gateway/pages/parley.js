// The widget: <parley-thread order="1042" token-url="/my-shop/token"></parley-thread> shows one conversation inside a shop's own page.

import { Conversation } from "./conversation.js";
import { fill, h, icon } from "./dom.js";
import { load, preferred } from "./language.js";
import { signIn } from "./session.js";
import { FetchedToken, SignedOut } from "./tokens.js";

const STYLE = new URL("./conversation.css", import.meta.url).href;
const HERE = new URL(import.meta.url).origin;

/**
 * `order`      the order's number
 * `token-url`  an address of the shop's that answers with the visitor's token (see docs/widget.md)
 * `api`        the gateway's origin, where it is not the one this file comes from
 * `lang`       one of the languages of language.js; else the page's language, else the browser's
 */
class ParleyThread extends HTMLElement {
  static observedAttributes = ["order", "token-url", "api", "lang"];

  #root = this.attachShadow({ mode: "open" });
  #style = h("link", { rel: "stylesheet", href: STYLE });
  #frame = h("div", { class: "widget", hidden: true });
  #session = null;
  #conversation = null;
  #number = 0;

  constructor() {
    super();
    // Without its style it is no beauty, and still better than nothing.
    for (const event of ["load", "error"]) this.#style.addEventListener(event, () => (this.#frame.hidden = false));
    this.#root.append(this.#style, this.#frame);
  }

  connectedCallback() {
    this.#start();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(_name, before, after) {
    if (this.isConnected && before !== after) this.#start();
  }

  #stop() {
    this.#number += 1;
    this.#conversation?.close();
    this.#session?.end();
    this.#conversation = this.#session = null;
  }

  async #start() {
    this.#stop();
    const number = this.#number;
    const order = this.getAttribute("order");
    const tokenUrl = this.getAttribute("token-url");
    if (!order || !tokenUrl) return console.warn("<parley-thread> shows nothing without the attributes order and token-url");
    let lang;
    try {
      const wanted = this.getAttribute("lang") || document.documentElement.lang;
      lang = await load(preferred(wanted), wanted);
    } catch {
      return this.#sayPlainly();
    }
    lang.dress(this.#frame);
    try {
      const base = this.getAttribute("api")?.replace(/\/+$/, "") || HERE;
      const session = await signIn({ base, tokens: new FetchedToken(new URL(tokenUrl, document.baseURI)), lang });
      if (number !== this.#number) return session.end();
      this.#session = session;
      this.#conversation = new Conversation(session, order, { heading: "h2", showConnection: true });
      fill(this.#frame, this.#conversation.element);
      const opened = this.#conversation.open();
      session.begin();
      await opened;
    } catch (error) {
      if (number === this.#number) this.#showWhy(lang, error instanceof SignedOut ? "signed_out" : "failed");
      if (!(error instanceof SignedOut || error instanceof TypeError)) throw error;
    }
  }

  /** Where not even the words have come. */
  #sayPlainly() {
    const again = h("button", { type: "button", class: "button", on: { click: () => this.#start() } }, "Try again");
    fill(this.#frame, h("div", { class: "middle" }, h("p", {}, "The messages could not be loaded."), again));
  }

  #showWhy(lang, why) {
    const again = h("button", { type: "button", class: "button", on: { click: () => this.#start() } }, lang.t("try_again"));
    fill(this.#frame, h("div", { class: "middle" }, icon("alert"), h("p", { class: "strong" }, lang.t(why)), again));
  }
}

customElements.define("parley-thread", ParleyThread);
