// An order beside its conversation: what was bought, from whom, and how far it is.

import { fill, h, icon } from "./dom.js";

export function statusChip(lang, status) {
  return h("span", { class: `chip status-${/^[a-z_]+$/.test(status) ? status : "other"}` }, lang.known("status", status));
}

export function disputeChip(lang, dispute) {
  return dispute?.state === "open" && h("span", { class: "chip dispute-chip" }, icon("alert"), lang.t("in_dispute"));
}

export function itemsInShort(lang, order) {
  if (order.first_item === null) return "";
  return order.item_count > 1 ? lang.t("and_more", { first: order.first_item, n: order.item_count - 1 }) : order.first_item;
}

/** Whether the shop itself sells the order: its name then stands where a seller's would, and its staff answer. */
export function isOfShop(order) {
  return order.sold_by === "shop";
}

/** Whom an order is between, as this side names the conversation. */
export function otherSide(side, order) {
  if (side === "customer") return order.seller.name;
  return side === "seller" || isOfShop(order) ? order.customer.name : `${order.customer.name} · ${order.seller.name}`;
}

/** The card's element with `show(view)`; folded, unless the window is as wide as this. */
export function orderCard(session, wide) {
  const { lang, caller } = session;
  const content = h("div", { class: "order-card-content" });
  const summary = h("summary", {}, icon("box"), h("span", {}, lang.t("order_details")), icon("down"));
  const element = h("details", { class: "order-card", open: matchMedia(wide).matches }, summary, content);
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
      line(lang.t("status"), h("span", { class: "chips" }, statusChip(lang, order.status), disputeChip(lang, thread.dispute))),
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
      order.items.map((item) =>
        h(
          "li",
          {},
          h("span", { class: "item-quantity" }, `${lang.number(item.quantity)} ×`),
          h("span", { class: "item-name", dir: "auto" }, item.name),
          h("span", { class: "item-price" }, lang.money(item.price, order.currency)),
        ),
      ),
    ),
    h("p", { class: "total" }, h("span", {}, lang.t("total")), h("strong", {}, lang.money(order.total, order.currency))),
    isWebAddress(order.url) &&
      h("a", { class: "button small", href: order.url, rel: "noopener noreferrer", target: "_blank" }, lang.t("to_order")),
  ];
}

function isWebAddress(url) {
  return /^https?:\/\//.test(url ?? "");
}
