// The process ends in the middle of runs.
import {dense, engine, tensor} from './fixture.mjs';

const loaded = await engine(dense());
const bindings = Array.from({length: 3}, () => loaded.bind([[2, 4]], {graph: true, timing: false}));
for (const binding of bindings) {
  await binding.run();
  binding.run();
}
for (let i = 0; i < 5; i++) loaded.run([tensor([1, 2, 3, 4], [1, 4])]);
loaded.dispose().catch(() => {});
console.log('done');
process.exit(0);
