// Loads the engine of ENGINE on BACKEND, runs it once, and prints what came of it as JSON.
import {Engine, TensorrtNodeError} from '../../../dist/index.js';

try {
  const engine = await Engine.load(process.env.ENGINE, {backend: process.env.BACKEND ?? 'auto', threads: 1});
  const {backend, description} = engine;
  const {y} = await engine.run({x: {type: 'float32', dims: [2, 4], data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8)}});
  await engine.dispose();
  console.log(JSON.stringify({backend, description, y: [...y.data]}));
} catch (error) {
  const {code, message} = error;
  console.log(JSON.stringify({code, message, typed: error instanceof TensorrtNodeError}));
}
