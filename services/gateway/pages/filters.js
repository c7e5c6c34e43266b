// What stands above a list: filters as links, and the search field.

import { h, icon, settled } from "./dom.js";
import { listPath } from "./thread_list.js";

const TYPING_MS = 300;

export function filters(app, { lang, name, choices, chosen, label, query = {} }) {
  const link = (choice) => {
    const to = listPath(name, { filter: choice === "all" ? "" : choice, ...query });
    return h("li", {}, h("a", { href: app.addressOf(to), "aria-current": choice === chosen && "true", data: { to, focus: `filter:${choice}` } }, lang.t(`filter.${choice}`)));
  };
  return h("nav", { class: "filters", "aria-label": label }, h("ul", {}, choices.map(link)));
}

/** Calls back with what is sought, a moment after the typing. */
export function searchField(lang, q, onSought) {
  const input = h("input", { type: "search", value: q, maxlength: 100, placeholder: lang.t("search"), "aria-label": lang.t("search"), autocomplete: "off" });
  const sought = settled(() => onSought(input.value.trim()), TYPING_MS);
  input.addEventListener("input", sought);
  const onSubmit = (event) => (event.preventDefault(), sought());
  return h("form", { class: "search", role: "search", on: { submit: onSubmit } }, icon("search"), input);
}
