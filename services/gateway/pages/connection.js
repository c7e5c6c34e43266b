// How the live connection is doing, in a word.

import { h } from "./dom.js";

export function connection(lang, state) {
  return h("span", { class: `connection ${state}` }, lang.t(`connection.${state}`));
}
