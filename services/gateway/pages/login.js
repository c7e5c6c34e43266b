// The demo's login: takes a token from the fragment of a link (or pasted), keeps it for this tab, and goes to the pages.

import { load, preferred } from "./language.js";
import { fill, h } from "./dom.js";
import { StoredToken, fragment } from "./tokens.js";
import { wayBack } from "./way_back.js";
import { inTab } from "./web_storage.js";

const { root: ROOT = "/pages/" } = document.documentElement.dataset;

function enter(token) {
  StoredToken.keep(token);
  if (!inTab.lasts) return show(lang.t("login.unkept"));
  location.replace(wayBack(location.search, { root: ROOT, origin: location.origin }));
}

/** The token in the address, which is taken out of it at once. */
function tokenInAddress() {
  const given = fragment();
  history.replaceState(null, "", location.pathname + location.search);
  return given.startsWith("token=") ? given.slice(6) : null;
}

const token = tokenInAddress();
addEventListener("hashchange", () => tryToEnter(tokenInAddress() ?? ""));
const lang = await load(preferred());
lang.dress(document.documentElement);
document.title = `${lang.t("sign_in")} · Parley`;
if (token === null) show();
else tryToEnter(token);

function tryToEnter(token) {
  try {
    enter(token.trim());
  } catch {
    show(lang.t("login.bad"));
  }
}

function show(wrong = "") {
  const area = h("textarea", { id: "token", rows: 5, required: true, spellcheck: "false", autocomplete: "off" });
  const onSubmit = (event) => (event.preventDefault(), tryToEnter(area.value));
  const form = h(
    "form",
    { class: "middle card", on: { submit: onSubmit } },
    h("h1", { class: "title" }, lang.t("sign_in")),
    h("p", {}, lang.t("login.hint")),
    h("div", { class: "field" }, h("label", { for: "token" }, lang.t("login.token")), area),
    h("p", { class: "wrong", role: "alert" }, wrong),
    h("button", { type: "submit", class: "button primary" }, lang.t("sign_in")),
  );
  fill(document.body, h("main", {}, h("div", { class: "page" }, form)));
}
