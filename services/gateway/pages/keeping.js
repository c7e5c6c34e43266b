// What is kept in this browser, by person: drafts and the outbox. Where there is no storage, it lasts as long as the page.

export class Keeping {
  #prefix;
  #storage;

  constructor(callerKey) {
    this.#prefix = `parley:${callerKey}:`;
    this.#storage = usable();
  }

  read(name) {
    const kept = this.#storage.getItem(this.#prefix + name);
    try {
      return kept === null ? null : JSON.parse(kept);
    } catch {
      return null;
    }
  }

  /** null and "" are not kept. */
  write(name, value) {
    if (value === null || value === "") return this.#storage.removeItem(this.#prefix + name);
    try {
      this.#storage.setItem(this.#prefix + name, JSON.stringify(value));
    } catch {
      // The storage is full: from here on it lasts as long as the page.
      this.#storage = copyOf(this.#storage);
      this.#storage.setItem(this.#prefix + name, JSON.stringify(value));
    }
  }

  names() {
    const keys = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index));
    return keys.filter((key) => key.startsWith(this.#prefix)).map((key) => key.slice(this.#prefix.length));
  }

  /** Calls back with the name of what another tab has changed. */
  onOtherTab(listener, signal) {
    const heard = ({ key }) => {
      if (key?.startsWith(this.#prefix)) listener(key.slice(this.#prefix.length));
    };
    addEventListener("storage", heard, { signal });
  }
}

function usable() {
  try {
    localStorage.setItem("parley:?", "");
    localStorage.removeItem("parley:?");
    return localStorage;
  } catch {
    return new InMemory();
  }
}

function copyOf(storage) {
  const copy = new InMemory();
  for (let index = 0; index < storage.length; index += 1) copy.setItem(storage.key(index), storage.getItem(storage.key(index)));
  return copy;
}

class InMemory {
  #kept = new Map();

  get length() {
    return this.#kept.size;
  }

  key(index) {
    return [...this.#kept.keys()][index] ?? null;
  }

  getItem(key) {
    return this.#kept.get(key) ?? null;
  }

  setItem(key, value) {
    this.#kept.set(key, value);
  }

  removeItem(key) {
    this.#kept.delete(key);
  }
}
