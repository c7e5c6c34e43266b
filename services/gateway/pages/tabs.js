// What the tabs of one browser have between them: a lock, a channel, and a name for each. A browser may refuse all three (held-back storage).

import { newKey } from "./api.js";
import { inTab } from "./web_storage.js";

const NAME = "parley:tab";
const CLAIM_WAITS_MS = 500;
const SUSPENDED_AFTER_MS = 60_000;

let works = null;
let name = null;

/** Whether Web Locks are there (pages over plain http have none) and are not refused (browsers that hold back all storage). */
export function locksWork() {
  works ??= navigator.locks ? navigator.locks.query().then(() => true, () => false) : Promise.resolve(false);
  return works;
}

/**
 * Runs `work` while no other tab does, where the browser can say so; where it cannot, at once. A tab that has had its turn for too long is
 * suspended, and is not waited for: so `work` must bear that two tabs do it.
 */
export async function alone(lock, signal, work) {
  if (!(await locksWork())) return work();
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), SUSPENDED_AFTER_MS);
  let running = null;
  const begin = () => {
    clearTimeout(timer);
    running = work();
    return running;
  };
  for (const options of [{ signal: AbortSignal.any([signal, patience.signal]) }, { steal: true }]) {
    try {
      return await navigator.locks.request(lock, options, begin);
    } catch (error) {
      if (running !== null) return running;
      if (!signal.aborted && !patience.signal.aborted) throw error;
      if (signal.aborted) break;
    }
  }
  clearTimeout(timer);
  return undefined;
}

/** A channel to the other tabs, or null. */
export function channel(called) {
  try {
    return new BroadcastChannel(called);
  } catch {
    return null;
  }
}

/** Resolves to this tab's name: the same after a reload, and no other tab's. (A duplicated tab begins with a copy of the first one's storage.) */
export function tabName() {
  name ??= claimed();
  return name;
}

async function claimed() {
  const kept = inTab.getItem(NAME);
  if (kept !== null && (await claim(kept))) return kept;
  const fresh = newKey();
  await claim(fresh);
  inTab.setItem(NAME, fresh);
  return fresh;
}

/** Holds a name for as long as the page lives. Resolves to false where another tab holds it, and goes on holding it. */
function claim(wanted) {
  return new Promise((resolve) => {
    const held = () => (resolve(true), new Promise(() => {}));
    alone(`${NAME}:${wanted}`, AbortSignal.timeout(CLAIM_WAITS_MS), held).then(() => resolve(false));
  });
}

/** The names of the tabs that are open, or null where the browser cannot say. */
export async function openTabs() {
  if (!(await locksWork())) return null;
  const { held } = await navigator.locks.query();
  return new Set(held.map((lock) => lock.name.slice(NAME.length + 1)));
}
