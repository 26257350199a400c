// What goes wrong when a collection begins, as JSON.
import {GpuCollection} from '../../../dist/native/gpu_collection.js';

async function error(options) {
  try {
    await GpuCollection.start(options);
  } catch (thrown) {
    const {name, code, message, hint} = thrown;
    return {name, code, message, hint};
  }
  return 'none';
}

const errors = {};
errors.badPath = await error({cuptiPath: ''});
errors.badNodes = await error({graphNodes: 'all'});
errors.badLimit = await error({maxActivities: 0});
errors.missing = await error({cuptiPath: '/no/such/libcupti.so.13'});
// None of the above has left anything behind.
errors.first = await error({});
errors.second = await error({});
console.log(JSON.stringify(errors));
