// Live events: one connection for all tabs of a person. It resumes where it stopped, and says how it is doing.

const SILENCE_MS = 45_000;
const LONGEST_PAUSE_MS = 30_000;
const LEADER_ANSWERS_MS = 2_000;
const MOST_STANDSTILLS = 3;

/**
 * Listeners get `{kind, data}`. Kinds are the server's (`message.posted`, `dispute.opened`, `dispute.closed`, `message.redacted`,
 * `thread.read`) and `state` (see `state`), `joined` (from now on nothing is missed: catch up once) and `resync` (read everything anew).
 *
 * Browsers allow six connections to an HTTP/1.1 server, over all tabs. So one tab leads (it holds a Web Lock) and tells the others over a
 * BroadcastChannel; when it goes, the next takes over and resumes. A leader that does not answer (a suspended tab) loses the lock.
 */
export class Live {
  /** `connecting`, `live`, `away` (trying again), `signed-out`. */
  state = "connecting";

  #api;
  #name;
  #listeners = new Set();
  #channel = null;
  #stop = new AbortController();
  #leads = false;
  #lastId = null;
  #wake = () => {};
  #leaderTimer = null;

  constructor(api, callerKey) {
    this.#api = api;
    this.#name = `parley:live:${api.base}:${callerKey}`;
  }

  /** Returns the function that ends the listening. */
  on(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start() {
    addEventListener("online", this.#onOnline, { signal: this.#stop.signal });
    addEventListener("offline", this.#onOffline, { signal: this.#stop.signal });
    if (!("locks" in navigator) || !("BroadcastChannel" in globalThis)) return void this.#lead(this.#stop.signal);
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#onOtherTab(data);
    document.addEventListener("visibilitychange", this.#onVisible, { signal: this.#stop.signal });
    this.#stand();
    this.#askForLeader();
  }

  stop() {
    this.#stop.abort();
    clearTimeout(this.#leaderTimer);
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
    if (this.state === "live") this.#become("away");
  };
  #onVisible = () => {
    if (document.visibilityState === "visible" && !this.#leads) this.#askForLeader();
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

  #onOtherTab({ kind, data, id, state }) {
    if (kind === "hello") {
      if (this.#leads) this.#tellOthers({ kind: "here", state: this.state });
    } else if (kind === "retry") {
      if (this.#leads) this.#wake();
    } else if (!this.#leads) {
      clearTimeout(this.#leaderTimer);
      if (id) this.#lastId = id;
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
    this.#channel?.postMessage({ ...message, id: this.#lastId });
  }

  #tell(kind, data) {
    for (const listener of [...this.#listeners]) listener({ kind, data });
  }

  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#tell("state", state);
    if (this.#leads) this.#tellOthers({ kind: "state", data: state });
  }

  /**
   * Listens until the signal ends it, over as many connections as it takes. Where connections end again and again at the same event
   * (one that cannot be delivered), it starts anew after it, and everything is read again.
   */
  async #lead(signal) {
    this.#leads = true;
    let failures = 0;
    let standstills = 0;
    while (!signal.aborted) {
      const resumedAt = this.#lastId;
      let joined = false;
      try {
        await this.#listen(signal, () => {
          joined = true;
          this.#become("live");
          if (resumedAt === null) this.#tellAll(standstills > 0 ? "resync" : "joined", null);
        });
      } catch (error) {
        if (error.isSignedOut) {
          this.#become("signed-out");
          break;
        }
      }
      if (signal.aborted) break;
      failures = this.#lastId === resumedAt ? failures + 1 : 1;
      standstills = joined && this.#lastId === resumedAt ? standstills + 1 : 0;
      if (standstills === MOST_STANDSTILLS) this.#lastId = null;
      this.#become("away");
      await this.#pause(failures, signal);
    }
    this.#leads = false;
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
  async #listen(signal, onJoined) {
    const silence = new AbortController();
    let watch = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const answer = await this.#api.stream(this.#lastId, AbortSignal.any([signal, silence.signal]));
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (let joined = false; ; joined = true) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watch);
        watch = setTimeout(() => silence.abort(), SILENCE_MS);
        if (!joined) onJoined();
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
