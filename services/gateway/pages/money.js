// Amounts as the API says them ("19.90", exact and as long as they like), multiplied and added without rounding.

/** What a line of an order comes to. */
export function lineTotal({ price, quantity }) {
  const { digits, scale } = exact(price);
  return written(digits * BigInt(quantity), scale);
}

/** What the lines come to together. */
export function itemsTotal(items) {
  const totals = items.map((item) => exact(lineTotal(item)));
  const scale = Math.max(0, ...totals.map((each) => each.scale));
  return written(
    totals.reduce((sum, each) => sum + each.digits * 10n ** BigInt(scale - each.scale), 0n),
    scale,
  );
}

export function isSameAmount(one, other) {
  const [a, b] = [exact(one), exact(other)];
  return a.digits * 10n ** BigInt(b.scale) === b.digits * 10n ** BigInt(a.scale);
}

function exact(amount) {
  const [whole, fraction = ""] = amount.split(".");
  return { digits: BigInt(whole + fraction), scale: fraction.length };
}

function written(digits, scale) {
  if (scale === 0) return String(digits);
  const sign = digits < 0n ? "-" : "";
  const plain = String(digits < 0n ? -digits : digits).padStart(scale + 1, "0");
  return `${sign}${plain.slice(0, -scale)}.${plain.slice(-scale)}`;
}
