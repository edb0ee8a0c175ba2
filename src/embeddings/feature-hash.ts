/**
 * FNV-1a over the UTF-16 code units `text[from, to)`, mixed with the finaliser of MurmurHash3 so that the low bits are
 * as good as the high ones. Returns an unsigned 32-bit integer, the same one on every platform.
 *
 * @see http://www.isthe.com/chongo/tech/comp/fnv/ and https://github.com/aappleby/smhasher
 */
export function featureHash(space: number, text: string, from = 0, to = text.length): number {
  let hash = Math.imul(0x811c9dc5 ^ space, 0x01000193);
  for (let i = from; i < to; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
