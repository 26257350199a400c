/** Whether `loadModel` has the option `deterministic`: one that knows it refuses what is no boolean before all else. */

import {loadModel} from '../../dist/index.js';

export async function loadsDeterministic() {
  try {
    await loadModel('no such folder', {backend: 'tensorrt', deterministic: 'neither'});
  } catch (error) {
    return error.code === 'ERR_OPTION';
  }
  return false;
}
