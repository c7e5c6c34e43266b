// An order beside its conversation: what was bought, from whom, and how far it is.

import { fill, h, icon } from "./dom.js";
import { isSameAmount, itemsTotal, lineTotal } from "./money.js";
import { isOfShop } from "./people.js";

const KNOWN = /^[a-z_]+$/;

export function statusChip(lang, side, status) {
  return h("span", { class: `chip status-${KNOWN.test(status) ? status : "other"}` }, statusWords(lang, side, status));
}

/** A status of the shop's own is a code: its people read it as words, and its customers that it is another one. */
export function statusWords(lang, side, status) {
  const known = lang.words[`status.${status}`];
  if (known !== undefined || side === "customer") return known ?? lang.t("status_other");
  return status.replace(/[_-]+/g, " ");
}

export function disputeChip(lang, dispute) {
  return dispute?.state === "open" && h("span", { class: "chip dispute-chip" }, icon("alert"), lang.t("in_dispute"));
}

export function itemsInShort(lang, order) {
  if (order.first_item === null) return "";
  return order.item_count > 1 ? lang.t("and_more", { first: order.first_item, n: order.item_count - 1 }) : order.first_item;
}

/** The card's element with `show(view)`. */
export function orderCard(session) {
  const { lang, caller } = session;
  const content = h("div", { class: "order-card-content" });
  const summary = h("summary", {}, icon("box"), h("span", {}, lang.t("order_details")), icon("down"));
  const element = h("details", { class: "order-card", open: true }, summary, content);
  let shown = "";
  const show = (view) => {
    const signature = view ? `${view.order.version} ${view.thread.dispute?.state}` : "";
    if (!view || signature === shown) return;
    shown = signature;
    fill(content, details(lang, caller, view));
  };
  return { element, show };
}

function details(lang, caller, { order, thread }) {
  const line = (label, value) => value && h("div", {}, h("dt", {}, label), h("dd", {}, value));
  return [
    h(
      "dl",
      { class: "facts" },
      line(lang.t("order_number"), order.order_id),
      line(lang.t("placed"), lang.date(order.placed_at)),
      line(lang.t("status"), h("span", { class: "chips" }, statusChip(lang, caller.side, order.status), disputeChip(lang, thread.dispute))),
      caller.side !== "seller" &&
        line(lang.t(isOfShop(order) ? "sold_by" : "side.seller"), h("bdi", {}, order.seller.name)),
      caller.side !== "customer" &&
        line(lang.t("side.customer"), [
          h("bdi", {}, order.customer.name),
          order.customer.guest && h("span", { class: "chip" }, lang.t("guest")),
        ]),
    ),
    h(
      "ul",
      { class: "items", "aria-label": lang.t("items") },
      order.items.map((item) => itemRow(lang, item, order.currency)),
    ),
    h("p", { class: "total" }, h("span", {}, lang.t("total")), h("strong", {}, lang.money(order.total, order.currency))),
    differenceNote(lang, order),
    isWebAddress(order.url) &&
      h("a", { class: "button small", href: order.url, rel: "noopener noreferrer", target: "_blank" }, lang.t("to_order")),
  ];
}

/** What a line comes to stands where one looks for it; the price of one is said as such. */
function itemRow(lang, item, currency) {
  const each = lang.t("price_each", { price: lang.money(item.price, currency) });
  return h(
    "li",
    {},
    h("span", { class: "item-quantity" }, `${lang.number(item.quantity)} ×`),
    h("span", { class: "item-name" }, h("bdi", {}, item.name), item.quantity > 1 && h("span", { class: "item-each" }, each)),
    h("span", { class: "item-price" }, lang.money(lineTotal(item), currency)),
  );
}

/** Said where the items do not add up to the total: shipping, taxes and discounts are in the one and not in the others. */
function differenceNote(lang, { items, total, currency }) {
  const sum = itemsTotal(items);
  if (items.length === 0 || isSameAmount(sum, total)) return null;
  return h("p", { class: "total-note" }, lang.t("total_differs", { sum: lang.money(sum, currency) }));
}

function isWebAddress(url) {
  return /^https?:\/\//.test(url ?? "");
}
