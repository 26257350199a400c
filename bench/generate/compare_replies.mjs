/** Where two ways of running a model part. */

/** Of replies in pairs: how many are equal, and for each other one where it parts first, and the reference's gap there. */
export function compareReplies(references, replies) {
  const differences = [];
  for (const [index, {tokens, gaps, second}] of references.entries()) {
    const other = replies[index].tokens;
    const length = Math.max(tokens.length, other.length);
    let at = 0;
    while (at < length && tokens[at] === other[at]) at++;
    // One that ended where the other went on has no gap: as wrong as can be.
    if (at < length) differences.push({prompt: index, at, gap: gaps[at] ?? Number.MAX_VALUE, second: other[at] === second[at]});
  }
  return {
    equal: references.length - differences.length,
    differences,
    gapMax: Math.max(0, ...differences.map(({gap}) => gap)),
  };
}

/** Of the most likely tokens after each position from `skip` on: what part agrees, and the largest gap where they do not. */
export function compareTop1(references, others, skip) {
  let positions = 0;
  let agreed = 0;
  let gapMax = 0;
  for (const [index, {best}] of others.entries()) {
    const reference = references[index];
    for (let at = skip; at < best.length; at++) {
      positions++;
      if (best[at] === reference.best[at]) agreed++;
      else gapMax = Math.max(gapMax, reference.gaps[at]);
    }
  }
  return {positions, agreement: agreed / positions, gapMax};
}
