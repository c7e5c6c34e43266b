// Dialogs: small forms that resolve to what was chosen, or to null. What is typed into one is kept like any other draft.

import { h, icon, fill } from "./dom.js";
import { nameOf } from "./language.js";
import { Draft } from "./drafts.js";
import { reasonOf } from "./entries.js";
import { TEXT_LIMIT, judge, lengthOf, sendable } from "./write_box.js";

const REASONS = ["not_received", "not_as_described", "damaged", "wrong_item", "refund_missing", "other"];
// What each side can truly say of a dispute's end. Whoever did not open it cannot take it back.
const OUTCOMES = {
  customer: ["resolved", "replaced", "refunded", "withdrawn"],
  shop: ["resolved", "refunded", "replaced", "rejected", "withdrawn"],
};

let made = 0;

/**
 * Shows a modal dialog in `host` and resolves to `read()` when it is submitted (by Ctrl+Enter too) and `read()` gives something, else to
 * null. Where there is `act(chosen)`, that is done first: while it fails, the dialog stays open and says why. `instead` is another way out,
 * `{words, value}`, in the place of cancelling.
 */
function ask(host, { lang, title, hint, fields, submit, danger = false, instead = null, read, act = null }) {
  const id = `parley-dialog-${(made += 1)}`;
  const giveBackFocus = focusGiver(host);
  const failed = h("p", { class: "wrong", role: "alert" });
  return new Promise((resolve) => {
    let answer = null;
    const leave = (value) => ((answer = value), dialog.close());
    const hints = [hint ?? []].flat().map((each) => h("p", { class: "hint" }, each));
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": id },
      h(
        "form",
        { novalidate: true },
        dialogHead({ lang, id, title, close: () => dialog.close() }),
        hints,
        fields,
        failed,
        h(
          "footer",
          { class: "dialog-foot" },
          h(
            "button",
            { type: "button", class: "button", on: { click: () => leave(instead?.value ?? null) } },
            instead?.words ?? lang.t("cancel"),
          ),
          h("button", { type: "submit", class: danger ? "button danger" : "button primary" }, submit),
        ),
      ),
    );
    const form = dialog.querySelector("form");
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const chosen = read();
      if (chosen === null || !(await isDone(chosen, { lang, act, dialog, failed }))) return;
      answer = chosen;
      dialog.close();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      event.preventDefault();
      if (!form.querySelector("button[type=submit]").disabled) form.requestSubmit();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      giveBackFocus();
      resolve(answer);
    });
    host.append(dialog);
    dialog.showModal();
    (dialog.querySelector("[data-first]") ?? dialog.querySelector("textarea, input, select, button[type=submit]")).focus();
  });
}

/** Whether `act(chosen)` has worked, if there is anything to do; says in the dialog why it has not. */
async function isDone(chosen, { lang, act, dialog, failed }) {
  if (act === null) return true;
  const button = dialog.querySelector("button[type=submit]");
  button.disabled = true;
  fill(failed);
  try {
    await act(chosen);
    return true;
  } catch (error) {
    if (!error.status && !error.isPassing) throw error;
    fill(failed, reasonOf(lang, error));
    return false;
  } finally {
    button.disabled = false;
  }
}

function dialogHead({ lang, id, title, close }) {
  return h(
    "header",
    { class: "dialog-head" },
    h("h2", { id }, title),
    h(
      "button",
      { type: "button", class: "button quiet icon-only", "aria-label": lang.t("close"), on: { click: close } },
      icon("close"),
    ),
  );
}

/** Gives the focus back to what has it now; or to what stands in its place by then, to what it was in, or to the title above. */
function focusGiver(host) {
  const opener = host.getRootNode().activeElement;
  const name = opener?.dataset?.focus;
  const around = opener?.closest(".history");
  return () => {
    const successor = name && [...host.querySelectorAll("[data-focus]")].find((each) => each.dataset.focus === name);
    const next = opener?.isConnected ? opener : successor || around || host.querySelector(".title");
    next?.focus({ preventScroll: next !== opener });
  };
}

/** Shows something beside the page, or on a phone from below: `content` are elements, which are given back to `onClose`. Returns how to close it. */
export function showSheet(host, { lang, title, content, onClose }) {
  const id = `parley-dialog-${(made += 1)}`;
  const giveBackFocus = focusGiver(host);
  const dialog = h(
    "dialog",
    { class: "dialog sheet", "aria-labelledby": id },
    h("div", { class: "sheet-body" }, dialogHead({ lang, id, title, close: () => dialog.close() }), content),
  );
  // A click beside it is one on the dialog itself, all of which its body covers.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    onClose(content);
    dialog.remove();
    giveBackFocus();
  });
  host.append(dialog);
  dialog.showModal();
  return () => dialog.close();
}

/** A text field with its counter and, when it cannot be sent as it is, why. `name` is the draft's. */
export function textField({ lang, keeping, name, label, rows, optional = false }) {
  const id = `parley-field-${(made += 1)}`;
  const counter = h("span", { class: "counter" });
  const wrong = h("p", { class: "wrong", id: `${id}-wrong`, role: "alert" });
  const area = h("textarea", { id, rows, "aria-describedby": `${id}-wrong`, dir: "auto" });
  const count = () => {
    const verdict = judge(area.value);
    fill(counter, lang.t("counter", { n: lengthOf(area.value), limit: TEXT_LIMIT }));
    counter.dataset.verdict = verdict;
    if (verdict !== "empty" || optional)
      fill(wrong, verdict === "over" ? lang.t("too_long", { n: lengthOf(area.value) - TEXT_LIMIT }) : "");
  };
  const draft = keeping ? new Draft(keeping, name, area, count) : null;
  area.addEventListener("input", () => {
    draft?.changed();
    count();
  });
  count();
  const read = () => {
    const verdict = judge(area.value);
    if (verdict === "empty" && optional) return "";
    if (verdict === "good" || verdict === "near") return sendable(area.value);
    fill(wrong, verdict === "over" ? lang.t("too_long", { n: lengthOf(area.value) - TEXT_LIMIT }) : lang.t("please_write"));
    area.setAttribute("aria-invalid", "true");
    area.focus();
    return null;
  };
  const element = h(
    "div",
    { class: "field" },
    h("div", { class: "field-head" }, h("label", { for: id }, label), counter),
    area,
    wrong,
  );
  return { element, read, forget: () => draft?.forget(), close: () => draft?.close() };
}

/** One of several, none of them chosen before. `words` names a value; `read()` is null, and says so, while none is chosen. */
function choice({ lang, label, values, words }) {
  const name = `parley-choice-${(made += 1)}`;
  const wrong = h("p", { class: "wrong", id: `${name}-wrong`, role: "alert" });
  const options = values.map((value, index) =>
    h(
      "label",
      { class: "option" },
      h("input", { type: "radio", name, value, required: true, "data-first": index === 0, "aria-describedby": `${name}-wrong` }),
      h("span", {}, words(value)),
    ),
  );
  const element = h(
    "fieldset",
    { class: "field", on: { change: () => fill(wrong) } },
    h("legend", {}, label),
    h("div", { class: "options" }, options),
    wrong,
  );
  const read = () => {
    const chosen = element.querySelector("input:checked");
    if (chosen) return chosen.value;
    fill(wrong, lang.t("please_choose"));
    element.querySelector("input").focus();
    return null;
  };
  return { element, read };
}

/** Before a dispute: resolves to "ask" (the other side first) or "dispute". `name` is whom to ask; `hint` says who will see a dispute. */
export function askWhetherToDispute(host, { lang, name, hint }) {
  return ask(host, {
    lang,
    title: lang.t("dispute.report"),
    hint: [lang.t("dispute.ask_first", { name }), lang.t("dispute.ask_else", { hint })],
    fields: [],
    submit: lang.t("dispute.ask", { name }),
    instead: { words: lang.t("dispute.open_title"), value: "dispute" },
    read: () => "ask",
  });
}

/** Resolves to `{reason, text}`. `hint` says who will see it, and who can close it. */
export async function askToOpenDispute(host, { lang, keeping, orderId, hint }) {
  const words = (value) => lang.t(`reason.${value}`);
  const reason = choice({ lang, label: lang.t("dispute.why"), values: REASONS, words });
  const text = textField({ lang, keeping, name: `dispute:${orderId}`, label: lang.t("dispute.what"), rows: 5 });
  const chosen = await ask(host, {
    lang,
    title: lang.t("dispute.open_title"),
    hint: [hint, lang.t("dispute.open_next")],
    fields: [reason.element, text.element],
    submit: lang.t("dispute.open"),
    read: () => both(reason, text, (why, said) => ({ reason: why, text: said })),
  });
  if (chosen) text.forget();
  text.close();
  return chosen;
}

/** Resolves to `{outcome, note}`. `side` closes it, customer or shop; `openedBy` is the side that opened it. */
export async function askToCloseDispute(host, { lang, keeping, orderId, side, openedBy }) {
  const values = OUTCOMES[side].filter((value) => value !== "withdrawn" || side === openedBy);
  const words = (value) => lang.t(side === "customer" ? `outcome.customer.${value}` : `outcome.${value}`);
  const outcome = choice({ lang, label: lang.t("dispute.how"), values, words });
  const note = textField({ lang, keeping, name: `closing:${orderId}`, label: lang.t("dispute.note"), rows: 3, optional: true });
  const chosen = await ask(host, {
    lang,
    title: lang.t("dispute.close_title"),
    hint: lang.t("dispute.close_hint"),
    fields: [outcome.element, note.element],
    submit: lang.t("dispute.close"),
    read: () => both(outcome, note, (how, said) => ({ outcome: how, note: said })),
  });
  if (chosen) note.forget();
  note.close();
  return chosen;
}

/** What two fields hold, or null where one of them cannot be taken: both then say why, and the first one has the focus. */
function both(one, other, make) {
  const [second, first] = [other.read(), one.read()];
  return first === null || second === null ? null : make(first, second);
}

/** Resolves to `{reason}` when `act({reason})` has worked. */
export function askToRedact(host, { lang, name, act }) {
  const reason = textField({ lang, label: lang.t("redact.reason"), rows: 2, optional: true });
  return ask(host, {
    lang,
    title: lang.t("redact.title"),
    hint: lang.t("redact.hint", { name }),
    fields: [reason.element],
    submit: lang.t("redact.do"),
    danger: true,
    act,
    read: () => {
      const said = reason.read();
      return said === null ? null : { reason: said };
    },
  });
}

/**
 * Which mails, as the API has it: resolves to what was chosen of each of `mailboxes`, `{mails: {messages, disputes}, locale}`. One that
 * has a `title` (and a `hint`) stands under it; `unchosen` is what stands for no language of choice.
 */
export async function askPreferences(host, { lang, languages, mailboxes, act }) {
  const groups = mailboxes.map(({ title, hint, preferences, unchosen = lang.t("mails.language_of_order") }) => {
    const { fields, read } = mailChoices(lang, languages, preferences, unchosen);
    const hinted = hint ? [h("p", { class: "hint" }, hint), ...fields] : fields;
    return { read, element: title ? h("fieldset", { class: "field" }, h("legend", {}, title), hinted) : fields };
  });
  return ask(host, {
    lang,
    title: lang.t("mails"),
    hint: lang.t("mails.hint"),
    fields: groups.flatMap((group) => group.element),
    submit: lang.t("save"),
    act,
    read: () => groups.map((group) => group.read()),
  });
}

function mailChoices(lang, languages, preferences, unchosen) {
  const id = `parley-mail-language-${(made += 1)}`;
  const box = (name) => h("input", { type: "checkbox", checked: preferences.mails[name] });
  const [messages, disputes] = [box("messages"), box("disputes")];
  const locale = selectOf(id, { "": unchosen, ...languages }, preferences.locale, nameOf);
  const here = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = { "": lang.t("mails.time_zone_of_shop"), ...(here && { [here]: here }) };
  const zone = selectOf(`${id}-zone`, zones, preferences.time_zone, String);
  return {
    fields: [
      h("label", { class: "option" }, messages, h("span", {}, lang.t("mails.messages"))),
      h("label", { class: "option" }, disputes, h("span", {}, lang.t("mails.disputes"))),
      h("div", { class: "field" }, h("label", { for: id }, lang.t("mails.language")), locale),
      h("div", { class: "field" }, h("label", { for: `${id}-zone` }, lang.t("mails.time_zone")), zone),
    ],
    read: () => changed(preferences, { messages: messages.checked, disputes: disputes.checked }, locale.value, zone.value),
  };
}

/** A choice among these, by value, and of what stands, also where it is none of them: then it is called what `nameOf` says. */
function selectOf(id, names, stands, nameOf) {
  const all = stands && !Object.hasOwn(names, stands) ? { ...names, [stands]: nameOf(stands) } : names;
  const options = Object.entries(all).map(([value, name]) => h("option", { value, selected: value === (stands ?? "") }, name));
  return h("select", { id }, options);
}

/** Only what was changed: what is said again would count as chosen now, and outdo what was chosen about one order. */
function changed(stands, mails, locale, zone) {
  const other = Object.entries(mails).filter(([name, value]) => value !== stands.mails[name]);
  return {
    ...(other.length > 0 && { mails: Object.fromEntries(other) }),
    ...(locale !== (stands.locale ?? "") && { locale: locale || null }),
    ...(zone !== (stands.time_zone ?? "") && { time_zone: zone || null }),
  };
}
