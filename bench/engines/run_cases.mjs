/** Runs a model's cases, whatever runs it; for one that keeps a state, each case with the state the one before left. */

/** `run(feeds)` gives {name: tensor}. Yields {name, feeds, outputs}. */
export async function* outputsOf(model, run) {
  let state = {};
  for (const {name, feeds} of model.cases()) {
    const complete = {...state, ...feeds};
    const outputs = await run(complete);
    for (const [output, input] of Object.entries(model.stream ?? {})) {
      const {type, dims, data} = outputs[output];
      state = {...state, [input]: {type, dims, data}};
    }
    yield {name, feeds: complete, outputs};
  }
}
