// A run under way keeps the process alive, an idle engine does not: no dispose here, and yet an end.
import assert from 'node:assert/strict';

import {dense, engine} from './fixture.mjs';

const loaded = await engine(dense());
const binding = loaded.bind([[2, 4]], {graph: true, timing: false});
new Float32Array(binding.inputs[0]).fill(2);
binding.run().then(() => {
  assert(new Float32Array(binding.outputs[0]).every((value) => value === 1));
  console.log('done');
});
