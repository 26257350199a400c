// Prints the compiler's flags for the headers the addon needs; binding.gyp reads them.

import {createRequire} from 'node:module';
import path from 'node:path';

import {FetchError} from './fetch.mjs';
import {findSdk} from './find.mjs';

// Relative to where this runs; the compiler runs elsewhere.
const napi = path.resolve(createRequire(import.meta.url)('node-addon-api').include_dir);

try {
  const {tensorrt, cuda} = await findSdk({say: (line) => console.error(`sdk: ${line}`)});
  console.log([napi, tensorrt.include, cuda.include].flatMap((folder) => ['-isystem', folder]).join(' '));
} catch (error) {
  if (!(error instanceof FetchError)) throw error;
  console.error(`sdk: ${error.message}`);
  process.exitCode = 1;
}
