// Makes and updates elements. Text only ever becomes text nodes: nothing here (or anywhere else in these pages) parses HTML.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  accepted: "M5 12.5 9.5 17 19 7.5",
  alert: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.3",
  back: "M15 5l-7 7 7 7",
  box: "M12 3 3.5 7.5v9L12 21l8.5-4.5v-9zM3.5 7.5 12 12l8.5-4.5M12 12v9",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7.5V12l3 2",
  close: "M6 6l12 12M18 6 6 18",
  down: "M6 9l6 6 6-6",
  erase: "M4 7h16M9 7V4.5h6V7M6.5 7l1 13h9l1-13",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12M12 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  mail: "M3.5 6h17v12.5h-17zM3.5 6.5 12 13.5l8.5-7",
  message: "M4 5h16v11H9.5L5 19.5V16H4z",
  out: "M10 4H5v16h5M14.5 8l4 4-4 4M18 12H9.5",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.3 15.3 20.5 20.5",
  select: "M4.5 4.5h15v15h-15zM8 12.2l2.8 2.8 5.2-5.6",
  send: "M4 11.5 20.5 4 14 20.5l-3-6.5z",
  stored: "M5 12.5 9.5 17 19 7.5",
  settings: "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5M8 14.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5",
  seen: "M2.5 12.5 7 17l9-9.5M11.8 16.2l.9.8 8.8-9.5",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  up: "M6 15l6-6 6 6",
};

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "required"]);
const FORBIDDEN = /^(on.|style$|srcdoc$|innerhtml$)/i;

/** An element: `h("a", {class: "row", href, on: {click}}, "text", child, …)`. Children that are null or false are left out. */
export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** Replaces what is in the element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(2).filter((child) => child !== null && child !== undefined && child !== false);
}

function set(element, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
  } else if (name === "data") {
    for (const [key, entry] of Object.entries(value)) element.dataset[key] = entry;
  } else if (PROPERTIES.has(name)) {
    element[name] = value;
  } else if (FORBIDDEN.test(name)) {
    throw new Error(`${name} is not set here`);
  } else if (value === true) {
    element.setAttribute(name, "");
  } else if (value !== null && value !== undefined && value !== false) {
    element.setAttribute(name, value);
  }
}

/** A decorative icon; the control around it has a name in words. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24",
    class: `icon icon-${name}`,
    "aria-hidden": "true",
    focusable: "false",
  })) {
    svg.setAttribute(key, value);
  }
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Words for screen readers alone. */
export function spoken(text) {
  return h("span", { class: "sr" }, text);
}

const signatures = new WeakMap();

/**
 * Makes the children of `parent` these: `[{key, signature, make}]`. An element whose signature stays the same is kept as it is, so
 * that focus, selection and reading position stay too; one that is made anew gives focus on to the same `data-focus` in its successor.
 */
export function sync(parent, wanted) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const focused = parent.getRootNode().activeElement;
  let place = parent.firstElementChild;
  for (const { key, signature, make } of wanted) {
    let child = known.get(key);
    known.delete(key);
    if (!child || signatures.get(child) !== signature) {
      const fresh = make();
      fresh.dataset.key = key;
      signatures.set(fresh, signature);
      if (child) {
        if (place === child) place = fresh;
        child.replaceWith(fresh);
      }
      child = fresh;
    }
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of known.values()) child.remove();
  refocus(parent, focused);
}

function refocus(parent, focused) {
  const root = parent.getRootNode();
  if (!focused || root.activeElement === focused || focused === document.body) return;
  if (parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  } else if (focused.dataset?.focus) {
    [...parent.querySelectorAll("[data-focus]")]
      .find((each) => each.dataset.focus === focused.dataset.focus)
      ?.focus({ preventScroll: true });
  }
}

/** Calls `work` once things have been quiet for `quietMs`, and at the latest after four times as long. */
export function settled(work, quietMs) {
  let timer = null;
  let since = 0;
  const later = () => {
    const now = Date.now();
    if (timer === null) since = now;
    clearTimeout(timer);
    timer = setTimeout(() => ((timer = null), work()), Math.max(0, Math.min(quietMs, since + 4 * quietMs - now)));
  };
  later.cancel = () => ((timer = clearTimeout(timer)), (timer = null));
  return later;
}
