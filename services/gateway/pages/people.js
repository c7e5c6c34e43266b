// Who the people of a conversation are to its reader: by name, and by the house that they answer for.

import { h } from "./dom.js";

/** Whether the shop itself sells the order: its name then stands where a seller's would, and its staff answer. */
export function isOfShop(order) {
  return order.sold_by === "shop";
}

/** The seller or the shop that a person answers for, where the reader is of another one and the name alone does not say it; else null. */
export function houseOf(lang, side, order, author) {
  if (author.side === side || author.side === "customer") return null;
  const house = author.side === "seller" || isOfShop(order) ? order.seller.name : lang.t("side.shop");
  return author.name === house ? null : house;
}

/** A name as a line of its own says it: "Anna · Brook & Birch Home". */
export function nameInFull(lang, side, order, author) {
  const house = houseOf(lang, side, order, author);
  return house === null ? author.name : `${author.name} · ${house}`;
}

/** Whom an order is between, as this side names the conversation; two of them each with what they are in it. */
export function partyNames(lang, side, order) {
  if (side === "customer") return [h("bdi", { class: "name" }, order.seller.name)];
  const customer = h("bdi", { class: "name" }, order.customer.name);
  if (side === "seller" || isOfShop(order)) return [customer];
  return [
    h("span", { class: "party" }, customer, " ", h("span", { class: "role" }, lang.t("side.customer"))),
    h(
      "span",
      { class: "party" },
      h("bdi", { class: "name" }, order.seller.name),
      " ",
      h("span", { class: "role" }, lang.t("side.seller")),
    ),
  ];
}

/** The newest entry of a row in a line, or what a search found in its texts: who wrote it, unless the row says it already, and what. */
export function excerpt(lang, side, { order, thread: { last }, snippet }) {
  if (snippet) {
    const speaker = speakerOf(lang, side, order, snippet);
    const parts = snippet.parts.map(({ text, hit }) => (hit ? h("mark", {}, text) : text));
    return [speaker && h("bdi", { class: "speaker" }, `${speaker}: `), h("bdi", {}, parts)];
  }
  if (last === null) return [];
  const text = last.excerpt ?? (last.kind === "text" ? lang.t("redacted") : "");
  const step = last.kind === "text" ? "" : `${lang.t(`${last.kind}.short`)}${text ? ": " : ""}`;
  const speaker = speakerOf(lang, side, order, last);
  return [speaker && h("bdi", { class: "speaker" }, `${speaker}: `), step, h("bdi", {}, text)];
}

/** "You" is the reader alone: others of their side have names. */
function speakerOf(lang, side, order, { mine, author }) {
  if (mine) return lang.t("you");
  const title = side === "customer" ? order.seller.name : side === "seller" || isOfShop(order) ? order.customer.name : null;
  if (author.name === title) return null;
  const house = houseOf(lang, side, order, author);
  return house === null || house === title ? author.name : `${author.name} · ${house}`;
}
