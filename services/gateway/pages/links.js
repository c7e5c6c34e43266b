// Addresses within what people wrote, as links: http and https alone, without the punctuation around them. The mails have the same rules
// (services/notifier/links.py).

import { LinkifyIt } from "linkify-it";

import { h } from "./dom.js";

const FINDER = new LinkifyIt({ fuzzyLink: false, fuzzyEmail: false, urlAuth: true });
for (const schema of ["ftp:", "mailto:", "//"]) FINDER.add(schema, null);
const QUOTES = /[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a]+$/;

/** The text in pieces that `h` takes as children: strings, and links that give the shop's page away to nobody. */
export function linked(text) {
  const pieces = [];
  let end = 0;
  for (const { index, raw } of FINDER.match(text) ?? []) {
    const address = raw.replace(QUOTES, "");
    if (!leadsWhereItSays(address)) continue;
    pieces.push(text.slice(end, index), h("a", { href: address, target: "_blank", rel: "noopener nofollow ugc" }, address));
    end = index + address.length;
  }
  return [...pieces, text.slice(end)].filter((piece) => piece !== "");
}

/** `https://bank.example@evil.example/` leads to evil.example: such an address is left to the eye. */
function leadsWhereItSays(address) {
  return URL.canParse(address) && !new URL(address).username && !new URL(address).password;
}
