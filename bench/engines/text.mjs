/** Reading what the recogniser gives, and how far that is from what was written. */

/** Greedy CTC: the likeliest class of each step, repeats once, blanks (class 0) left out. `dims`: [1, steps, classes]. */
export function readText({dims: [, steps, classes], data}, characters) {
  let text = '';
  let last = 0;
  for (let step = 0; step < steps; step++) {
    let best = 0;
    for (let each = 1; each < classes; each++) if (data[step * classes + each] > data[step * classes + best]) best = each;
    if (best !== 0 && best !== last) text += characters[best];
    last = best;
  }
  return text;
}

/** Levenshtein's distance in characters. */
export function editDistance(a, b) {
  let row = Array.from({length: b.length + 1}, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length];
}
