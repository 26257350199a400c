/** What a benchmark of the GPU runs on. */

import {inspect} from '../../dist/index.js';
import {say} from './results.mjs';

/** For Results: the GPU and what it runs. Ends the process, having said why, where there is none. */
export async function machine() {
  const {driver, devices, tensorrt} = await inspect();
  if (devices.length === 0 || tensorrt.version === undefined) {
    say(`not run: ${driver.reason ?? tensorrt.reason ?? 'the driver sees no GPU'}`);
    process.exit(2);
  }
  return {gpu: devices[0].name, driver: driver.version, versions: {cuda: driver.cuda, tensorrt: tensorrt.version}};
}
