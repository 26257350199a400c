// Everything that is refused, as JSON; the next build works all the same.
import {writeFileSync} from 'node:fs';

import {addon, failure, file, request, silent, tensorrt} from './fixture.mjs';

const good = await request();
writeFileSync(file('garbage'), 'no model');
const built = (changes, listener = silent) => failure(() => addon.buildEngine({...good, ...changes}, listener).result);
const errors = {
  noRequest: await failure(() => addon.buildEngine()),
  noListener: await failure(() => addon.buildEngine(good, {})),
  noModel: await built({model: undefined}),
  noFlags: await built({flags: 'fp16'}),
  flagNumber: await built({flags: [1]}),
  device: await built({device: '0'}),
  layerType: await built({layers: [{pattern: '*', precision: 'float64'}]}),
  profile: await built({profiles: [{x: {min: [1, 4], opt: [1, 4]}}]}),
  algorithm: await built({calibration: {algorithm: 'mean', batchSize: 1}}),
  logLevel: await built({logLevel: 'loud'}),
  noSuchDevice: await built({device: 9}),
  noLibrary: await built({tensorrt: [file('nothing.so')]}),
  garbage: await built({model: file('garbage')}),
  noProfile: await built({profiles: []}),
  unknownFlag: await built({flags: ['fp64']}),
  tooNew: await built({tilingOptimizationLevel: 'full'}),
  noFolder: await built({plan: file('no/model.plan')}),
  merge: await failure(() => addon.mergeTimingCache({device: 0, tensorrt, into: file('a'), from: file('b')})),
  mergeNothing: await failure(() => addon.mergeTimingCache({})),
  lock: await failure(() => addon.tryLock(file('no/lock'))),
};
await addon.buildEngine(good, silent).result;
console.log(JSON.stringify(errors));
