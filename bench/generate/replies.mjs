/** What a model answers, reduced to what comparing needs. */

/**
 * Greedy replies to token lists, submitted at once, each {tokens, gaps, seconds}: the gap at a token is by how much the best
 * logit exceeds the next.
 */
export function greedyReplies(model, lists, maxNewTokens) {
  return Promise.all(
    lists.map(async (list) => {
      const {tokens, logprobs} = await model.generateText(list, {maxNewTokens, temperature: 0, logprobs: 2});
      // Probabilities' logarithms differ as logits do.
      return {
        tokens,
        gaps: logprobs.map(({top}) => rounded(top[0].logprob - top[1].logprob)),
        second: logprobs.map(({top}) => top[1].token),
      };
    }),
  );
}

/** After each token the most likely one and by how much its logit exceeds the next, from logits [n, vocabSize]. */
export function bestTokens(logits, vocabSize) {
  const best = [];
  const gaps = [];
  for (let start = 0; start < logits.length; start += vocabSize) {
    let first = 0;
    let secondLogit = Number.NEGATIVE_INFINITY;
    for (let token = 1; token < vocabSize; token++) {
      const logit = logits[start + token];
      if (logit > logits[start + first]) {
        secondLogit = logits[start + first];
        first = token;
      } else if (logit > secondLogit) {
        secondLogit = logit;
      }
    }
    best.push(first);
    gaps.push(rounded(logits[start + first] - secondLogit));
  }
  return {best, gaps};
}

function rounded(value) {
  return Number(value.toFixed(5));
}
