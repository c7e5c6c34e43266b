// Parley's HTTP API: questions, writes and the live stream, with problem documents as exceptions.

import { SignedOut } from "./tokens.js";

const PATIENCE_MS = 20_000;

/** What the server refused, as it said so (RFC 9457). */
export class Problem extends Error {
  constructor(status, said, retryAfterS) {
    super(said.detail ?? said.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = (said.type ?? "").split(":").pop();
    this.retryAfterS = retryAfterS;
  }

  /** Whether the same request may well succeed a little later. */
  get isPassing() {
    return [408, 425, 429, 500, 502, 503, 504].includes(this.status);
  }

  get isSignedOut() {
    return this.status === 401;
  }
}

/** No answer: the network, or the server, is away. */
export class Unreachable extends Error {
  code = "unreachable";

  get isPassing() {
    return true;
  }
}

/** The body of a good answer. One that is cut off (a page that is left, a network that breaks) is no answer: it is asked again. */
async function whole(answer) {
  try {
    return await answer.json();
  } catch (error) {
    throw new Unreachable(error.message);
  }
}

/** A name for one write, made before its first try. (crypto.randomUUID is missing on plain http.) */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function orderPath(orderId, rest = "") {
  return `/v1/orders/${encodeURIComponent(orderId)}${rest}`;
}

export class Api {
  #tokens;
  #ahead = new Map();

  /** `tokens` has `current()` and `renew(old)`; `base` is the gateway's origin. */
  constructor(base, tokens) {
    this.base = base;
    this.#tokens = tokens;
  }

  async get(path) {
    const ahead = this.#ahead.get(path);
    this.#ahead.delete(path);
    const answer = await (ahead ?? this.#ask(path, {}));
    return whole(answer);
  }

  /** Asks a question that will be asked in a moment; the next `get` of this path has its answer. */
  askAhead(path) {
    const asked = this.#ask(path, {});
    asked.catch(() => {});
    this.#ahead.set(path, asked);
  }

  /** Resolves to `{status, body}`; a 202 says that the write is accepted, and its body has the command's id. */
  async write(method, path, body, { key, ifMatch } = {}) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (key) headers["Idempotency-Key"] = key;
    if (ifMatch) headers["If-Match"] = ifMatch;
    const answer = await this.#ask(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    return { status: answer.status, body: await whole(answer) };
  }

  /** The live stream's response; it goes on until the signal ends it. */
  async stream(lastEventId, signal) {
    const headers = lastEventId === null ? {} : { "Last-Event-ID": lastEventId };
    return this.#ask("/v1/events", { headers, signal, endless: true });
  }

  async #ask(path, options) {
    const token = await this.#token();
    let answer = await this.#send(path, options, token);
    if (answer.status === 401 && (await this.#tokens.renew(token))) answer = await this.#send(path, options, await this.#token());
    if (answer.ok) return answer;
    throw await problemIn(answer);
  }

  async #token() {
    try {
      return await this.#tokens.current();
    } catch (error) {
      if (!(error instanceof SignedOut)) throw new Unreachable(error.message);
      throw new Problem(401, { type: "urn:parley:problem:unauthenticated", detail: error.message });
    }
  }

  async #send(path, { method = "GET", headers = {}, body, signal, endless = false }, token) {
    const limits = [signal, endless ? null : AbortSignal.timeout(PATIENCE_MS)].filter(Boolean);
    try {
      return await fetch(this.base + path, {
        method,
        body,
        headers: { ...headers, Authorization: `Bearer ${token}` },
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.any(limits),
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable(error.message);
    }
  }
}

async function problemIn(answer) {
  const retryAfterS = Number(answer.headers.get("Retry-After")) || null;
  try {
    return new Problem(answer.status, await answer.json(), retryAfterS);
  } catch {
    return new Problem(answer.status, {}, retryAfterS);
  }
}
