// What is done to many conversations of a list at once: all of the inbox marked read, all that are shown selected.

import { h, icon } from "./dom.js";
import { reasonOf } from "./entries.js";

/** The buttons above a list; `selectAll()` selects what is shown, where rows can be selected. */
export function bulkTools(app, { selectAll = null } = {}) {
  const { lang } = app.session;
  const tool = (name, words, onClick) =>
    h(
      "button",
      { type: "button", class: "button quiet small", data: { focus: `bulk:${name}` }, on: { click: onClick } },
      icon(name),
      words,
    );
  return h(
    "div",
    { class: "bulk" },
    selectAll && tool("select", lang.t("select_all"), selectAll),
    tool("accepted", lang.t("mark_all_read"), (event) => markAllRead(app, event.currentTarget)),
  );
}

/** All of the inbox, whatever the list shows; a large one goes on being marked when this is answered. */
async function markAllRead(app, button) {
  const { api, lang } = app.session;
  button.disabled = true;
  try {
    await api.write("POST", "/v1/threads/read", { all: true });
    app.say(lang.t("all_read"));
  } catch (error) {
    if (!error.status && !error.isPassing) throw error;
    app.say(reasonOf(lang, error));
  } finally {
    button.disabled = false;
  }
}
