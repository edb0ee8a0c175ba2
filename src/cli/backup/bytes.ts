const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

/** Such as `12.4 MB`, in powers of a thousand. */
export function bytes(value: number): string {
  const unit = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${unit === 0 ? value : (value / 1_000 ** unit).toPrecision(3)} ${UNITS[unit]}`;
}
