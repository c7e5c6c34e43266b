// The box that messages are written in: counter, draft, and sending by keyboard or button; and the limits on what can be sent.

import { fill, h, icon, spoken } from "./dom.js";
import { Draft } from "./drafts.js";
import { SHOWS_NOTHING } from "./invisible.js";

export const TEXT_LIMIT = 10_000;
const WARN_FROM = 9_000;

/** Characters as the API counts them: Unicode code points. */
export function lengthOf(text) {
  return [...text].length;
}

/** The text as it can be sent: without NUL, and without halves of surrogate pairs (which come from cutting an emoji in two). */
export function sendable(text) {
  const whole = text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (each) => (each.length === 2 ? each : "\uFFFD"));
  return whole.replaceAll("\0", "");
}

/** `empty`, `good`, `near` the limit or `over` it. The API takes any text of which something can be seen. */
export function judge(text) {
  const length = lengthOf(text);
  if (length > TEXT_LIMIT) return "over";
  if (SHOWS_NOTHING.test(text)) return "empty";
  return length > WARN_FROM ? "near" : "good";
}

let made = 0;

export class WriteBox {
  #session;
  #draft;
  #onSend;
  #area;
  #counter;
  #wrong;
  #unkept;
  #stop = new AbortController();

  /** `onSend(text, draft)` is called with what is to be sent, and with the draft that goes when it is kept. */
  constructor(session, orderId, onSend) {
    this.#session = session;
    this.#onSend = onSend;
    this.element = this.#build();
    this.#draft = new Draft(session.keeping, `draft:${orderId}`, this.#area, () => this.#count());
    this.#count();
    this.#showLasting();
    session.keeping.on(() => this.#showLasting(), this.#stop.signal);
  }

  close() {
    this.#stop.abort();
    this.#draft.close();
  }

  #build() {
    const { lang } = this.#session;
    const id = `parley-write-${(made += 1)}`;
    this.#counter = h("span", { class: "counter", "aria-hidden": "true" });
    this.#wrong = h("p", { class: "wrong", id: `${id}-wrong`, role: "alert" });
    this.#unkept = h("span", { class: "hint unkept", role: "status", hidden: true });
    this.#area = h("textarea", {
      id,
      rows: 2,
      placeholder: lang.t("write.placeholder"),
      dir: "auto",
      "aria-describedby": `${id}-wrong`,
      enterkeyhint: "enter",
    });
    this.#area.addEventListener("input", () => this.#onInput());
    this.#area.addEventListener("keydown", (event) => this.#onKey(event));
    const onSubmit = (event) => (event.preventDefault(), this.#send());
    return h(
      "form",
      { class: "write", hidden: true, on: { submit: onSubmit } },
      h("label", { for: id, class: "sr" }, lang.t("write.label")),
      this.#area,
      this.#wrong,
      h(
        "div",
        { class: "write-foot" },
        h("span", { class: "hint keys" }, lang.t(isApple() ? "write.keys_apple" : "write.keys")),
        this.#unkept,
        this.#counter,
        h("button", { type: "submit", class: "button primary" }, icon("send"), h("span", {}, lang.t("send")), spoken(lang.t("send.what"))),
      ),
    );
  }

  show(is) {
    this.element.hidden = !is;
  }

  /** Says so where the browser keeps nothing: what is not sent goes with the page. */
  #showLasting() {
    const is = this.#session.keeping.isLasting;
    if (this.#unkept.hidden === is) return;
    this.#unkept.hidden = is;
    fill(this.#unkept, is ? "" : this.#session.lang.t("write.unkept"));
  }

  focus() {
    this.#area.focus();
  }

  /** Puts a text back into the box, before what is being written. */
  put(text) {
    this.#area.value = this.#area.value.trim() === "" ? text : `${text}\n\n${this.#area.value}`;
    this.#onInput();
    this.#area.focus();
  }

  #onInput() {
    this.#draft.changed();
    this.#count();
  }

  #onKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
    event.preventDefault();
    this.#send();
  }

  #count() {
    const { lang } = this.#session;
    const text = this.#area.value;
    const verdict = judge(text);
    fill(this.#counter, lang.t("counter", { n: lengthOf(text), limit: TEXT_LIMIT }));
    this.#counter.dataset.verdict = verdict;
    fill(this.#wrong, verdict === "over" ? lang.t("too_long", { n: lengthOf(text) - TEXT_LIMIT }) : "");
    this.#area.setAttribute("aria-invalid", String(verdict === "over"));
    this.#grow();
  }

  /** As high as its text, within what the style allows (`field-sizing` does it where it is known). */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#area.rows = Math.min(10, Math.max(2, this.#area.value.split("\n").length));
  }

  #send() {
    const { lang } = this.#session;
    const text = this.#area.value;
    const verdict = judge(text);
    if (verdict === "over" || verdict === "empty") {
      if (verdict === "empty") fill(this.#wrong, lang.t("please_write"));
      return this.#area.focus();
    }
    this.#onSend(sendable(text), this.#draft.taken());
    this.#count();
    return this.#area.focus();
  }
}

function isApple() {
  return /Mac|iPhone|iPad/.test(navigator.userAgentData?.platform ?? navigator.platform ?? "");
}
