// The widget: <parley-thread order="1042" token-url="/my-shop/token"></parley-thread> shows one conversation inside a shop's own page.

import { Conversation } from "./conversation.js";
import { fill, h, icon } from "./dom.js";
import { load, preferred } from "./language.js";
import { signIn } from "./session.js";
import { FetchedToken, SignedOut } from "./tokens.js";
import { WidgetEvents } from "./widget_events.js";

const STYLE = new URL("./conversation.css", import.meta.url).href;
const HERE = new URL(import.meta.url).origin;

/**
 * `order`      the order's number
 * `token-url`  an address of the shop's that answers with the visitor's token (see docs/widget.md)
 * `api`        the gateway's origin, where it is not the one this file comes from
 * `lang`       one of the languages of language.js; else the page's language, else the browser's
 * `theme`      `light`, `dark`, or `auto` (the visitor's); else that of the page around it (conversation.css reads it)
 *
 * What stands in its slot `signed-out` is shown where nobody is signed in. It fires `parley:message`, `parley:unread`, `parley:error`.
 */
class ParleyThread extends HTMLElement {
  static observedAttributes = ["order", "token-url", "api", "lang"];

  #root = this.attachShadow({ mode: "open" });
  #style = h("link", { rel: "stylesheet", href: STYLE });
  #frame = h("div", { class: "widget", part: "surface", hidden: true });
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
    const events = new WidgetEvents(this, order);
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
      session.live.on((event) => events.heard(event));
      this.#conversation = new Conversation(session, order, {
        heading: "h2",
        showConnection: true,
        onThread: (thread) => number === this.#number && events.look(thread),
      });
      fill(this.#frame, this.#conversation.element);
      const opened = this.#conversation.open();
      session.begin();
      await opened;
    } catch (error) {
      if (number === this.#number) {
        const why = error instanceof SignedOut ? "signed_out" : "failed";
        this.#showWhy(lang, why);
        events.failed(why);
      }
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
    const said = h("div", { class: "middle", part: "message" }, icon("alert"), h("p", { class: "strong" }, lang.t(why)), again);
    fill(this.#frame, why === "signed_out" ? h("slot", { name: "signed-out" }, said) : said);
  }
}

customElements.define("parley-thread", ParleyThread);
