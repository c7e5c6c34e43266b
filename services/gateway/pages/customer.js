// The customer's area: My account > Orders, My account > Messages, and the conversation about one order.

import { bulkTools } from "./bulk.js";
import { Conversation } from "./conversation.js";
import { h, icon } from "./dom.js";
import { disputeChip, itemsInShort, orderCard, statusChip } from "./order_card.js";
import { excerpt, isOfShop } from "./people.js";
import { ThreadList, filters, listPath, searchField } from "./thread_list.js";

const ORDER_FILTERS = ["all", "unread", "with_messages", "disputed"];
const MESSAGE_FILTERS = ["all", "unread", "disputed"];

/** A page is `{element, title, close, focus}`. */
export function ordersPage(app, asked) {
  const { lang } = app.session;
  return listPage(app, asked, {
    name: "orders",
    path: "/v1/orders",
    choices: ORDER_FILTERS,
    title: lang.t("orders"),
    row: (item) => orderRow(app, item),
  });
}

export function messagesPage(app, asked) {
  const { lang } = app.session;
  return listPage(app, asked, {
    name: "messages",
    path: "/v1/threads",
    choices: MESSAGE_FILTERS,
    title: lang.t("messages"),
    row: (item) => messageRow(app, item),
  });
}

function listPage(app, asked, { name, path, choices, title, row }) {
  const { lang } = app.session;
  const filter = choices.includes(asked.get("filter")) ? asked.get("filter") : "all";
  let q = asked.get("q") ?? "";
  const empty = () => [
    icon(name === "orders" ? "box" : "message"),
    h("p", { class: "strong" }, lang.t(q || filter !== "all" ? "empty.filter" : `empty.${name}`)),
  ];
  const list = new ThreadList(app.session, { row, empty, label: title, reset: () => search.reset() });
  const show = () => list.show(listPath(path, { filter: filter === "all" ? "" : filter, q }));
  const search = searchField(lang, q, (sought) => {
    q = sought;
    app.replaceAddress(listPath(name, { filter: filter === "all" ? "" : filter, q }));
    show();
  });
  const heading = h("h1", { class: "title", tabindex: -1 }, title);
  const element = h(
    "div",
    { class: "page" },
    h("div", { class: "page-head" }, heading, search.element),
    filters(app, { lang, name, choices, chosen: filter, label: lang.t("show"), query: { q } }),
    name === "messages" && bulkTools(app),
    list.element,
  );
  show();
  return { element, title, close: () => list.close(), focus: () => heading.focus({ preventScroll: true }) };
}

function orderRow(app, { order, thread, snippet }) {
  const { lang } = app.session;
  const to = `orders/${encodeURIComponent(order.order_id)}`;
  const contact = isOfShop(order) ? lang.t("contact_shop", { name: order.seller.name }) : lang.t("contact_seller");
  const words = thread.unread > 0 ? lang.t("n_new_messages", { n: thread.unread }) : contact;
  const make = () =>
    h(
      "li",
      { class: `order-row ${thread.unread > 0 ? "unread" : ""}` },
      h(
        "div",
        { class: "order-row-main" },
        h(
          "p",
          { class: "order-row-head" },
          h("strong", {}, lang.t("order", { id: order.order_id })),
          statusChip(lang, app.session.caller.side, order.status),
          disputeChip(lang, thread.dispute),
        ),
        h("p", { class: "order-row-items", dir: "auto" }, itemsInShort(lang, order)),
        snippet && h("p", { class: "thread-row-excerpt" }, excerpt(lang, app.session.caller.side, { order, thread, snippet })),
        h(
          "p",
          { class: "faint" },
          h("time", { datetime: order.placed_at }, lang.date(order.placed_at)),
          " · ",
          h("bdi", {}, order.seller.name),
        ),
      ),
      h("p", { class: "order-row-total" }, lang.money(order.total, order.currency)),
      h(
        "a",
        {
          class: thread.unread > 0 ? "button primary" : "button",
          href: app.addressOf(to),
          "aria-label": `${words}, ${lang.t("order", { id: order.order_id })}`,
          data: { to, focus: order.order_id },
        },
        icon("message"),
        h("span", {}, words),
      ),
    );
  return { signature: JSON.stringify([lang.tag, order, snippet, thread.unread, thread.dispute?.state]), make };
}

function messageRow(app, item) {
  const { lang } = app.session;
  const { order, thread } = item;
  const to = `orders/${encodeURIComponent(order.order_id)}`;
  const make = () =>
    h(
      "li",
      { class: `thread-row ${thread.unread > 0 ? "unread" : ""}` },
      h(
        "a",
        { href: app.addressOf(to), data: { to, focus: order.order_id } },
        h("span", { class: "thread-row-head" }, h("bdi", { class: "name" }, order.seller.name), lastMoment(lang, thread)),
        h(
          "span",
          { class: "thread-row-order" },
          h("span", {}, lang.t("order", { id: order.order_id })),
          h("span", { dir: "auto" }, itemsInShort(lang, order)),
        ),
        h("span", { class: "thread-row-excerpt" }, excerpt(lang, app.session.caller.side, item)),
        h("span", { class: "chips" }, unreadBadge(lang, thread.unread), disputeChip(lang, thread.dispute)),
      ),
    );
  return { signature: JSON.stringify([lang.tag, item]), make };
}

export function lastMoment(lang, thread) {
  return thread.last && h("time", { datetime: thread.last.at, title: lang.moment(thread.last.at) }, lang.brief(thread.last.at));
}

export function unreadBadge(lang, unread) {
  return unread > 0 && h("span", { class: "badge" }, lang.t("n_new", { n: unread }));
}

export function conversationPage(app, orderId) {
  const { session } = app;
  const { lang } = session;
  const card = orderCard(session);
  const back =
    session.caller.role === "guest" ? null : { to: "messages", href: app.addressOf("messages"), words: lang.t("messages") };
  const conversation = new Conversation(session, orderId, {
    back,
    card: card.element,
    onThread: (thread) => (card.show(thread.view), thread.state === "missing" && (card.element.hidden = true)),
  });
  const element = h(
    "div",
    { class: "page fill with-aside" },
    conversation.element,
    h("aside", { "aria-label": lang.t("order_details") }, card.element),
  );
  conversation.open();
  return {
    element,
    title: lang.t("order", { id: orderId }),
    close: () => conversation.close(),
    focus: () => conversation.focusTitle(),
  };
}
