// Numbers as Python and numpy have them. Knows nothing about pictures.

/** The nearest whole number, of two equally near the even one: Python's round, numpy's rint. */
export function rint(value) {
  const below = Math.floor(value);
  const part = value - below;
  if (part !== 0.5) return part < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

export const clip = (value, low, high) => Math.min(Math.max(value, low), high);
