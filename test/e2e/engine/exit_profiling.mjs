// The process ends while layers are timed.
import {dense, engine, tensor} from './fixture.mjs';

const loaded = await engine(dense());
const inputs = () => [tensor([1, 2, 3, 4], [1, 4])];
const {layers} = await loaded.profileLayers(inputs(), {runs: 2, warmUp: 0}).result;
console.log(layers.map(({milliseconds}) => milliseconds.length).join());
loaded.profileLayers(inputs(), {runs: 1e6, warmUp: 0});
loaded.profileLayers(inputs(), {runs: 1e6, warmUp: 0});
await new Promise((resolve) => setTimeout(resolve, 20));
process.exit(0);
