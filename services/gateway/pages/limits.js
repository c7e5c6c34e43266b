// The API's limits on texts, so that nobody writes in vain.

export const TEXT_LIMIT = 10_000;
const WARN_FROM = 9_000;

/** Characters as the API counts them: Unicode code points. */
export function lengthOf(text) {
  return [...text].length;
}

/** The text as it can be sent: without NUL, and without halves of surrogate pairs (which come from cutting an emoji in two). */
export function sendable(text) {
  const whole = text.replace(/[\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF]/g, (each) => (each.length === 2 ? each : "\uFFFD"));
  return whole.replaceAll("\0", "");
}

/** `empty`, `good`, `near` the limit or `over` it. The API takes any text that is more than white space, as Python's strip() has it. */
export function judge(text) {
  const length = lengthOf(text);
  if (length > TEXT_LIMIT) return "over";
  if (/^[\s\u001c-\u001f\u0085\0]*$/.test(text)) return "empty";
  return length > WARN_FROM ? "near" : "good";
}
