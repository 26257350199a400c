/** Numbers as the page tells them. */

/** A point in time, in the unit that suits how much is shown: '1.623 ms'. */
export function timeFormat(step: number): (time: number) => string {
  const [unit, name] = step < 500 ? [1e3, 'µs'] : step < 5e8 ? [1e6, 'ms'] : [1e9, 's'];
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step / unit) + 1e-9)));
  return (time) => `${(time / unit).toFixed(digits)} ${name}`.replace(/^-(?=0(\.0*)? )/, '');
}

/** As summaries tell them. */
export function place(time: number): string {
  return `${(time / 1e6).toFixed(3)} ms`;
}

export function count(number: number): string {
  return number.toLocaleString('en');
}
