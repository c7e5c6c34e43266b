// What stands above a history for a while: why nothing is sent, and what a person's own action came to.

import { h, icon } from "./dom.js";

/** `trouble` is what `Outbox.trouble()` says; `onRetry()` tries at once. */
export function troubleBanner(lang, trouble, onRetry) {
  return banner("status", "clock", lang.t(`away.${trouble}`), button(lang.t("try_now"), "retry", onRetry));
}

export function noticeBanner(lang, words, onClose) {
  return banner("alert", "alert", words, button(lang.t("close"), "notice", onClose));
}

function banner(role, sign, words, end) {
  return h("div", { class: "banner away", role }, icon(sign), h("p", {}, words), end);
}

function button(words, focus, onClick) {
  return h("button", { type: "button", class: "button small", data: { focus }, on: { click: onClick } }, words);
}
