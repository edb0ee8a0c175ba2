const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bits of a finite number as an IEEE 754 float16, rounded to the nearest and ties to even, as pgvector does. */
export function float16Bits(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  const sign = (all >>> 16) & 0x8000;
  const exponent = ((all >>> 23) & 0xff) - 112;
  const fraction = all & 0x7f_ffff;
  if (exponent >= 31) return sign | 0x7c00;
  if (exponent > 0) return sign | rounded((exponent << 23) | fraction, 13);
  if (exponent < -10) return sign;
  // Below the smallest normal number the leading one becomes part of the fraction.
  return sign | rounded(fraction | 0x80_0000, 14 - exponent);
}

/** `value / 2 ** shift`, ties to even. A carry runs on into the exponent, which is right. */
function rounded(value: number, shift: number): number {
  const half = 1 << (shift - 1);
  const quotient = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  return quotient + (rest > half || (rest === half && (quotient & 1) === 1) ? 1 : 0);
}
