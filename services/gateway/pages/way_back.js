// The way to the sign-in and back: which address asks for it, and where it leads afterwards.

/** The address of the sign-in, with the page that asks for it in its places `{return_url}` and `{return_path}`; never with a fragment, which may hold a token. */
export function loginAddress(template, { origin, pathname, search }) {
  const path = pathname + search;
  return template
    .replaceAll("{return_url}", encodeURIComponent(origin + path))
    .replaceAll("{return_path}", encodeURIComponent(path));
}

/** Where to go after the sign-in: back to the page that asked for it, and nowhere outside of these pages, whatever the address says. */
export function wayBack(search, { root, origin }) {
  const asked = new URLSearchParams(search).get("return") ?? "";
  let to;
  try {
    to = new URL(asked, origin);
  } catch {
    return root;
  }
  const isOurs = asked.startsWith("/") && to.origin === origin && to.pathname.startsWith(root);
  return isOurs && to.pathname !== `${root}login` ? to.pathname + to.search : root;
}
