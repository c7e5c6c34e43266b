// One conversation's history as elements: messages, the steps of disputes, day and "new" separators, and what is still on its way.

import { h, icon, spoken } from "./dom.js";
import { midnight } from "./language.js";
import { linked } from "./links.js";

const TOGETHER_MS = 5 * 60_000;

/**
 * What to show, for `sync`. `people` has `house(author)` (whom an author of another side answers for, or null) and `isSeen(message)`. `pending` are outbox items; `newFrom` is the seq that the "New messages" separator stands before; `actions`
 * has `again`, `edit`, `discard` (of a refused item), `redact` (null where the reader may not), and `isTroubled`.
 */
export function rows({ lang, side, people, messages, pending, newFrom, actions }) {
  const shown = [];
  let before = null;
  for (const message of messages) {
    const day = midnight(new Date(message.at));
    const startsDay = before === null || midnight(new Date(before.at)) !== day;
    if (startsDay) shown.push(dayRow(lang, day, message.at));
    const startsNew = message.seq === newFrom;
    if (startsNew) shown.push(newRow(lang));
    const goesOn = !startsDay && !startsNew && isTogether(before, message);
    shown.push(message.kind === "text" ? messageRow({ lang, side, people, message, goesOn, actions }) : stepRow(lang, people, message));
    before = message;
  }
  return [...shown, ...pending.map((item) => pendingRow({ lang, item, actions }))];
}

function isTogether(one, other) {
  const sameAuthor = one.author.side === other.author.side && one.author.name === other.author.name && one.mine === other.mine;
  return one.kind === "text" && other.kind === "text" && sameAuthor && new Date(other.at) - new Date(one.at) < TOGETHER_MS;
}

function dayRow(lang, day, at) {
  const words = lang.day(at);
  return { key: `day:${day}`, signature: words, make: () => h("li", { class: "separator day" }, h("span", {}, words)) };
}

function newRow(lang) {
  return {
    key: "new",
    signature: lang.tag,
    make: () => h("li", { class: "separator new" }, h("span", {}, lang.t("new_messages"))),
  };
}

function messageRow({ lang, side, people, message, goesOn, actions }) {
  const { id, seq, author, text, redacted, mine, imported, at } = message;
  const house = people.house(author);
  const state = mine && (people.isSeen(message) ? "seen" : "stored");
  const canRedact = actions.redact !== null && !redacted;
  const make = () =>
    h(
      "li",
      {
        class: `entry ${author.side === side ? "own-side" : "other-side"} by-${author.side} ${goesOn ? "goes-on" : ""}`,
        data: { seq },
      },
      mine ? spoken(lang.t("you")) : goesOn ? spoken(author.name) : byline(author, house),
      redacted ? h("p", { class: "bubble redacted" }, lang.t("redacted")) : h("p", { class: "bubble", dir: "auto" }, linked(text)),
      h(
        "p",
        { class: "foot", data: { seq } },
        h("time", { datetime: at, title: lang.moment(at) }, lang.time(at)),
        imported && side !== "customer" && h("span", {}, lang.t("imported")),
        state && h("span", { class: `state stored ${state}`, title: lang.t(`state.${state}`) }, icon(state), spoken(lang.t(`state.${state}`))),
        canRedact &&
          h(
            "button",
            {
              type: "button",
              class: "button quiet small",
              data: { focus: `redact:${id}` },
              on: { click: () => actions.redact(message) },
            },
            icon("erase"),
            lang.t("redact"),
            spoken(lang.t("redact.of", { name: author.name, time: lang.moment(at) })),
          ),
      ),
    );
  return { key: id, signature: `${lang.tag} ${house} ${state} ${text === null} ${redacted} ${goesOn} ${canRedact}`, make };
}

function byline(author, house) {
  return h("p", { class: "byline" }, h("bdi", {}, author.name), house !== null && [" · ", h("bdi", { class: "house" }, house)]);
}

/** A step of a dispute, as a line of the system's with the words of who took it. */
function stepRow(lang, people, message) {
  const { id, seq, kind, author, text, redacted, at } = message;
  const house = people.house(author);
  const name = house === null ? author.name : `${author.name} · ${house}`;
  const what = kind === "dispute_opened" ? lang.known("reason", message.reason) : lang.known("outcome", message.outcome);
  const make = () =>
    h(
      "li",
      { class: `entry step ${kind}`, data: { seq } },
      h(
        "p",
        { class: "step-what" },
        icon(kind === "dispute_opened" ? "alert" : "accepted"),
        h("span", {}, lang.t(kind, { name, what })),
      ),
      redacted
        ? h("p", { class: "step-text redacted" }, lang.t("redacted"))
        : text && h("p", { class: "step-text", dir: "auto" }, linked(text)),
      h("p", { class: "foot", data: { seq } }, h("time", { datetime: at }, lang.moment(at))),
    );
  return { key: id, signature: `${lang.tag} ${name} ${text === null} ${redacted} ${what}`, make };
}

/** Something of the reader's own that is not stored yet, and how far it is. */
function pendingRow({ lang, item, actions }) {
  const isPost = item.kind === "post";
  const text = isPost || item.kind === "open" ? item.body.text : item.body.note;
  const state = item.state === "waiting" ? (actions.isTroubled ? "held" : "sending") : item.state;
  const make = () =>
    h(
      "li",
      { class: isPost ? `entry own-side pending ${state}` : `entry step pending ${state}`, data: { state } },
      isPost
        ? spoken(lang.t("you"))
        : h(
            "p",
            { class: "step-what" },
            icon("alert"),
            h("span", {}, lang.t(item.kind === "open" ? "dispute.opening" : "dispute.closing")),
          ),
      text && h("p", { class: isPost ? "bubble" : "step-text", dir: "auto" }, text),
      h("p", { class: "foot" }, h("span", { class: `state ${state}` }, icon(STATE_ICONS[state]), lang.t(`state.${state}`))),
      state === "refused" && refusal({ lang, item, actions }),
    );
  return { key: `pending:${item.key}`, signature: `${lang.tag} ${state}`, make };
}

const STATE_ICONS = { sending: "clock", held: "clock", accepted: "clock", refused: "alert" };

function refusal({ lang, item, actions }) {
  const button = (name, words) =>
    h(
      "button",
      { type: "button", class: "button small", data: { focus: `${name}:${item.key}` }, on: { click: () => actions[name](item) } },
      words,
    );
  return h(
    "div",
    { class: "refusal" },
    h("p", {}, reasonOf(lang, item.problem)),
    h(
      "p",
      { class: "buttons" },
      button("again", lang.t("try_again")),
      item.kind === "post" && button("edit", lang.t("edit")),
      button("discard", lang.t("discard")),
    ),
  );
}

/** A problem in the reader's language; what is particular to this one case comes from the server. */
export function reasonOf(lang, problem) {
  const words = lang.words[`problem.${problem?.code}`] ?? lang.t("problem.internal");
  return ["invalid_request", "conflict"].includes(problem?.code) ? `${words} ${problem.detail ?? problem.message ?? ""}` : words;
}
