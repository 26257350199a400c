/** Amounts of memory for people, in the units that memory is sold and options are given in: '3.5 GiB'. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Three digits, rounded to the nearest. */
export function formatMemory(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** As an option, rounded up to whole MiB: '3584MiB'. */
export function memoryOption(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)}MiB`;
}
