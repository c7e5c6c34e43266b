// What is chosen in the form goes to the widget; what the widget says goes into the list.

const form = document.getElementById("choices");
const place = document.getElementById("place");
const events = document.getElementById("events");
const widget = document.createElement("parley-thread");

function attribute(name, value) {
  if (value) widget.setAttribute(name, value);
  else widget.removeAttribute(name);
}

function show() {
  const chosen = Object.fromEntries(new FormData(form));
  document.documentElement.dataset.page = chosen.page;
  form.elements.shown.value = `${chosen.width} px`;
  place.style.inlineSize = `${chosen.width}px`;
  widget.classList.toggle("branded", chosen.branded === "on");
  attribute("theme", chosen.theme);
  attribute("lang", chosen.lang);
  attribute("token-url", chosen.signed_out === "on" ? "/token?order=none" : `/token?order=${encodeURIComponent(chosen.order)}`);
  attribute("order", chosen.order);
  const attributes = [...widget.attributes].filter(({ name }) => name !== "class" && name !== "token-url");
  const written = attributes.map(({ name, value }) => ` ${name}="${value}"`).join("");
  document.getElementById("snippet").textContent =
    `<script type="module" src="${document.querySelector("script[src*='parley.js']").src}"></script>\n\n` +
    `<parley-thread${written} token-url="/my-shop/token"></parley-thread>`;
}

for (const kind of ["parley:message", "parley:unread", "parley:error"]) {
  widget.addEventListener(kind, ({ detail }) => {
    const line = document.createElement("li");
    line.textContent = `${kind} ${JSON.stringify(detail)}`;
    events.prepend(line);
  });
}

const signedOut = document.createElement("p");
signedOut.slot = "signed-out";
signedOut.textContent = "Sign in to the shop to write to us. ";
const signIn = document.createElement("a");
signIn.href = "/";
signIn.textContent = "Sign in";
signedOut.append(signIn);
widget.append(signedOut);

form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
show();
place.append(widget);
