// What is being written into a text field, kept by tab: no tab overwrites another's, and what was sent in one is not sent in the next.

import { newKey } from "./api.js";
import { openTabs, tabName } from "./tabs.js";

/**
 * A field that nobody has written in shows this tab's own draft, or else the newest of another tab, and follows that one: it changes as it
 * is typed there, and goes when it is sent there. From the first key on the text is this tab's own, and no other tab changes it; it goes
 * only when another tab has sent the very same draft as it stands.
 *
 * `origin` names what drafts were copied from: the same text written twice is two drafts, and one that was shown in two tabs is one.
 */
export class Draft {
  #keeping;
  #name;
  #area;
  #onFilled;
  #tab = null;
  #origin = null;
  #shown = null;
  #isOwn = false;
  #ready;
  #stop = new AbortController();

  /** `area` is the text field; `onFilled()` is called after its text was changed from here. */
  constructor(keeping, name, area, onFilled) {
    this.#keeping = keeping;
    this.#name = name;
    this.#area = area;
    this.#onFilled = onFilled;
    keeping.on((told) => told.draft === name && this.#heard(told), this.#stop.signal);
    this.#ready = this.#open();
  }

  close() {
    this.#stop.abort();
  }

  async #open() {
    this.#tab = await tabName();
    await this.#show();
  }

  /** Shows what is kept, unless the person has begun to write meanwhile. */
  async #show() {
    const drafts = (await this.#keeping.drafts(this.#name)).sort((one, other) => other.at - one.at);
    if (this.#isOwn || this.#stop.signal.aborted) return;
    const own = drafts.find((draft) => draft.tab === this.#tab);
    this.#shown = own ?? drafts[0] ?? null;
    this.#origin = this.#shown?.origin ?? null;
    this.#isOwn = own !== undefined;
    this.#fill(this.#shown?.text ?? "");
  }

  #fill(text) {
    if (this.#area.value === text) return;
    this.#area.value = text;
    this.#onFilled();
  }

  async #heard({ sent }) {
    await this.#ready;
    if (!this.#isOwn) return this.#show();
    if (sent && sent.origin === this.#origin && sent.text === this.#area.value) {
      this.#origin = null;
      this.#fill("");
    }
    return undefined;
  }

  /** The person has changed the text. */
  changed() {
    this.#isOwn = true;
    this.#origin ??= newKey();
    this.#ready = this.#ready.then(() => this.#keep());
  }

  async #keep() {
    const from = this.#shown?.tab;
    this.#shown = null;
    const open = await openTabs();
    const isLeftBehind = from !== undefined && from !== this.#tab && open !== null && !open.has(from);
    const draft = { name: this.#name, tab: this.#tab, origin: this.#origin, text: this.#area.value, at: Date.now() };
    await this.#keeping.putDraft(draft, isLeftBehind ? from : null);
  }

  /** The draft as it stands, to be taken away with the item that it becomes; the field is empty then, and the next text another draft. */
  taken() {
    const draft = { name: this.#name, tab: this.#tab, origin: this.#origin, text: this.#area.value };
    this.#isOwn = true;
    this.#shown = null;
    this.#origin = null;
    this.#area.value = "";
    return draft;
  }

  /** The text has gone where it belongs. */
  forget() {
    this.#area.value = "";
    this.changed();
  }
}
