/** How far an output is from its reference. */

/** `got` and `reference`: tensors of one shape. Throws where the shapes differ. */
export function compareTensors(got, reference, name) {
  if (got.dims.join() !== reference.dims.join()) throw new Error(`${name} is [${got.dims}] and should be [${reference.dims}]`);
  let [dot, normGot, normReference, maxError, largest] = [0, 0, 0, 0, 0];
  for (let index = 0; index < reference.data.length; index++) {
    const a = Number(got.data[index]);
    const b = Number(reference.data[index]);
    dot += a * b;
    normGot += a * a;
    normReference += b * b;
    // Not Math.max: a NaN must not get lost in it.
    if (!(Math.abs(a - b) <= maxError)) maxError = Math.abs(a - b);
    if (Math.abs(b) > largest) largest = Math.abs(b);
  }
  return {cosine: dot / Math.sqrt(normGot * normReference), maxError, maxRelative: maxError / largest};
}

/** The worst of many comparisons. */
export class Worst {
  cosine = 1;
  maxError = 0;
  /** Of an output's largest value. */
  maxRelative = 0;
  compared = 0;

  add({cosine, maxError, maxRelative}) {
    // Written so that NaN stays.
    if (!(cosine >= this.cosine)) this.cosine = cosine;
    if (!(maxError <= this.maxError)) this.maxError = maxError;
    if (!(maxRelative <= this.maxRelative)) this.maxRelative = maxRelative;
    this.compared++;
  }
}
