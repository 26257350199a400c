// Runs when a user installs the package. Does nothing where the prebuilt addon loads; elsewhere tries to build one, and
// if that fails says why in a line. The installation goes on in any case: everything but the GPU works without the addon.

import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

// In a clone, `npm run build:addon` is for that.
if (!existsSync(new URL('../.git', import.meta.url)) && !loads()) {
  spawnSync(process.execPath, [fileURLToPath(new URL('build-addon.mjs', import.meta.url)), '--optional', '--gyp'], {stdio: 'inherit'});
}

function loads() {
  try {
    return require('node-gyp-build')(root) !== undefined;
  } catch {
    return false;
  }
}
