// Live events: one connection for all tabs of a person. It resumes where it stopped, and says how it is doing.

import { channel, locksWork } from "./tabs.js";

const SILENCE_MS = 45_000;
const FIRST_WORD_MS = 10_000;
const POLL_EVERY_MS = 10_000;
const LONGEST_PAUSE_MS = 30_000;
const LEADER_ANSWERS_MS = 2_000;
const MOST_STANDSTILLS = 3;

/**
 * Listeners get `{kind, data}`. Kinds are the server's (`message.posted`, `dispute.opened`, `dispute.closed`, `message.redacted`,
 * `thread.read`, `thread.seen`) and `state` (see `state`), `joined` (from now on nothing is missed) and `resync`: after either, what was
 * read before may be out of date, texts that were removed too, and is read anew.
 *
 * Where no events come though the server answers (a proxy holds them back), it polls: `resync` every ten seconds, until events come.
 *
 * Browsers allow six connections to an HTTP/1.1 server, over all tabs. So one tab leads (it holds a Web Lock) and tells the others over a
 * BroadcastChannel; when it goes, the next takes over and resumes. A leader that does not answer (a suspended tab) loses the lock.
 */
export class Live {
  /** `connecting`, `live`, `polling` (the server answers, but no events come), `away` (nothing answers; trying again), `signed-out`. */
  state = "connecting";
  /** While `away`: `unreachable`, or `busy` where the server answers that it cannot. */
  trouble = "unreachable";

  #api;
  #name;
  #listeners = new Set();
  #channel = null;
  #stop = new AbortController();
  #leads = false;
  #lastId = null;
  #wake = () => {};
  #leaderTimer = null;
  #pollTimer = null;

  constructor(api, callerKey) {
    this.#api = api;
    this.#name = `parley:live:${api.base}:${callerKey}`;
  }

  /** Returns the function that ends the listening. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async start() {
    const { signal } = this.#stop;
    addEventListener("online", this.#onOnline, { signal });
    addEventListener("offline", this.#onOffline, { signal });
    addEventListener("pageshow", this.#onShown, { signal });
    document.addEventListener("visibilitychange", this.#onVisible, { signal });
    if (await locksWork()) this.#channel = signal.aborted ? null : channel(this.#name);
    if (signal.aborted) return;
    if (this.#channel !== null) this.#channel.onmessage = ({ data }) => this.#onOtherTab(data);
    this.#begin();
  }

  /** Takes part: as the one tab that leads, or as one that waits for it. */
  #begin() {
    if (this.#channel === null) return void this.#lead(this.#stop.signal);
    this.#stand();
    this.#askForLeader();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#leaderTimer);
    this.#pollNoMore();
    this.#channel?.close();
    this.#listeners.clear();
  }

  /** Tries again at once, where it is waiting. */
  retry() {
    this.#wake();
    if (!this.#leads) this.#channel?.postMessage({ kind: "retry" });
  }

  #onOnline = () => this.retry();
  #onOffline = () => {
    if (this.state !== "signed-out") this.#become("away");
  };
  /** Back out of the browser's cache of left pages: what happened meanwhile was told to nobody here. */
  #onShown = ({ persisted }) => {
    if (persisted) this.#tell("resync", null);
  };
  #onVisible = () => {
    if (document.visibilityState !== "visible") return;
    if (this.state === "signed-out") this.#wake();
    else if (!this.#leads && this.#channel !== null) this.#askForLeader();
  };

  /** Waits for the lock, leads, and stands again if the lock is stolen. */
  async #stand(steal = false) {
    const options = steal ? { steal: true } : { signal: this.#stop.signal };
    try {
      await navigator.locks.request(this.#name, options, async () => {
        clearTimeout(this.#leaderTimer);
        const term = new AbortController();
        this.#endTerm = () => term.abort();
        await this.#lead(AbortSignal.any([this.#stop.signal, term.signal]));
      });
    } catch (error) {
      this.#endTerm();
      if (this.#stop.signal.aborted) return;
      if (error.name === "AbortError") this.#stand();
      else throw error;
    }
  }
  #endTerm = () => {};

  #askForLeader() {
    this.#channel.postMessage({ kind: "hello" });
    clearTimeout(this.#leaderTimer);
    this.#leaderTimer = setTimeout(() => {
      if (!this.#leads && !this.#stop.signal.aborted) this.#stand(true);
    }, LEADER_ANSWERS_MS);
  }

  #onOtherTab({ kind, data, id, state, trouble }) {
    if (kind === "hello") {
      if (this.#leads) this.#tellOthers({ kind: "here", state: this.state });
    } else if (kind === "retry") {
      if (!this.#leads) return;
      this.#wake();
      this.#tellOthers({ kind: "here", state: this.state });
    } else if (!this.#leads && this.state !== "signed-out") {
      clearTimeout(this.#leaderTimer);
      if (id) this.#lastId = id;
      if (trouble) this.trouble = trouble;
      if (kind === "here") this.#follow(state);
      else if (kind === "state") this.#follow(data);
      else this.#tell(kind, data);
    }
  }

  #follow(state) {
    const joins = state === "live" && this.state !== "live";
    this.#become(state);
    if (joins) this.#tell("joined", null);
  }

  #tellOthers(message) {
    this.#channel?.postMessage({ ...message, id: this.#lastId, trouble: this.trouble });
  }

  #tell(kind, data) {
    for (const listener of [...this.#listeners]) listener({ kind, data });
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state", state);
    if (this.#leads && state !== "signed-out") this.#tellOthers({ kind: "state", data: state });
  }

  /**
   * Listens until the signal ends it, over as many connections as it takes. Where connections end again and again at the same event
   * (one that cannot be delivered), it starts anew after it, and everything is read again. Without a good token it leads no more, and
   * begins anew when it is asked to try again.
   */
  async #lead(signal) {
    this.#leads = true;
    let failures = 0;
    let standstills = 0;
    while (!signal.aborted) {
      const resumedAt = this.#lastId;
      let joined = false;
      this.#pollIn(FIRST_WORD_MS);
      try {
        await this.#listen(signal, () => {
          this.#become("live");
          if (joined) return;
          joined = true;
          if (resumedAt === null) this.#tellAll(standstills > 0 ? "resync" : "joined", null);
        });
      } catch (error) {
        if (error.isSignedOut) {
          this.#signedOut();
          break;
        }
      }
      if (signal.aborted) break;
      failures = this.#lastId === resumedAt ? failures + 1 : 1;
      standstills = joined && this.#lastId === resumedAt ? standstills + 1 : 0;
      if (standstills === MOST_STANDSTILLS) this.#lastId = null;
      if (this.state === "live") this.#become("connecting");
      if (!joined && this.state !== "polling") this.#pollIn(0);
      await this.#pause(failures, signal);
    }
    this.#leads = false;
    this.#pollNoMore();
  }

  #signedOut() {
    this.#become("signed-out");
    this.#wake = () => {
      this.#wake = () => {};
      this.state = "connecting";
      this.#begin();
    };
  }

  /** Sees in so many ms whether the server answers, unless events come before, and then every now and then. */
  #pollIn(ms) {
    const due = Date.now() + ms;
    if (this.state === "live" || due >= this.#pollDue) return;
    clearTimeout(this.#pollTimer);
    this.#pollDue = due;
    this.#pollTimer = setTimeout(() => this.#poll(), ms);
  }
  #pollDue = Infinity;

  #pollNoMore() {
    clearTimeout(this.#pollTimer);
    this.#pollDue = Infinity;
  }

  /** While no events come: says whether the server answers, and has everything read anew where it does. */
  async #poll() {
    const isDone = () => !this.#leads || this.#stop.signal.aborted || this.state === "live";
    let answers = true;
    this.#pollNoMore();
    if (!isDone())
      try {
        await this.#api.get("/v1/me");
      } catch (error) {
        if (error.isSignedOut) return this.#become("signed-out");
        answers = !error.isPassing;
        this.trouble = error.status ? "busy" : "unreachable";
      }
    if (isDone()) return undefined;
    this.#become(answers ? "polling" : "away");
    if (answers) this.#tellAll("resync", null);
    return this.#pollIn(POLL_EVERY_MS);
  }

  #pause(failures, signal) {
    const upToMs = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** Math.min(failures, 10));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, upToMs * (0.5 + Math.random() / 2));
      this.#wake = () => (clearTimeout(timer), resolve());
      signal.addEventListener("abort", this.#wake, { once: true });
    });
  }

  /** One connection, to its end. A silence longer than three heartbeats ends it too. */
  async #listen(signal, onWord) {
    const silence = new AbortController();
    let watch = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const answer = await this.#api.stream(this.#lastId, AbortSignal.any([signal, silence.signal]));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(() => silence.abort(), SILENCE_MS);
        onWord();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.#take(block);
      }
    } finally {
      clearTimeout(watch);
    }
  }

  #take(block) {
    let kind = null;
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) this.#lastId = line.slice(4);
      else if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (kind === null) return;
    this.#tellAll(kind, JSON.parse(data));
  }

  #tellAll(kind, data) {
    this.#tell(kind, data);
    this.#tellOthers({ kind, data });
  }
}
