// The browser's two small storages; where one is refused, the page's own memory stands in for it.

class InMemory {
  /** Whether what is kept outlasts the page. */
  lasts = false;

  #kept = new Map();

  getItem(key) {
    return this.#kept.get(key) ?? null;
  }

  setItem(key, value) {
    this.#kept.set(key, value);
  }

  removeItem(key) {
    this.#kept.delete(key);
  }

  keys() {
    return [...this.#kept.keys()];
  }
}

/** One of the browser's, which may be refused at any access, and may be full. */
class Kept {
  lasts = true;

  #storage;
  #memory = new InMemory();

  constructor(storage) {
    this.#storage = storage;
  }

  getItem(key) {
    return this.#memory.getItem(key) ?? this.#storage.getItem(key);
  }

  setItem(key, value) {
    this.#memory.removeItem(key);
    try {
      this.#storage.setItem(key, value);
    } catch {
      this.#memory.setItem(key, value);
    }
  }

  removeItem(key) {
    this.#memory.removeItem(key);
    this.#storage.removeItem(key);
  }

  keys() {
    return [...this.#memory.keys(), ...Object.keys(this.#storage)];
  }
}

function usable(name) {
  try {
    const storage = globalThis[name];
    storage.getItem("");
    return new Kept(storage);
  } catch {
    return new InMemory();
  }
}

/** Lasts as long as the tab. */
export const inTab = usable("sessionStorage");
/** Lasts, and is every tab's. */
export const inBrowser = usable("localStorage");
