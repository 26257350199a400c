#!/usr/bin/env node
// Finds or fetches what the addon is compiled against, and says what it chose.
//
//   node scripts/sdk.mjs [--json] [--nvcc]
//
// --json writes the choice to stdout; --nvcc adds the compiler of CUDA kernels (a download of 100 MB where there is none).

import {parseArgs} from 'node:util';

import {FetchError} from './sdk/fetch.mjs';
import {findSdk} from './sdk/find.mjs';

const {values} = parseArgs({options: {json: {type: 'boolean'}, nvcc: {type: 'boolean'}}});

try {
  const sdk = await findSdk({nvcc: values.nvcc, say: (line) => console.error(`sdk: ${line}`)});
  if (values.json) console.log(JSON.stringify(sdk, null, 2));
} catch (error) {
  if (!(error instanceof FetchError)) throw error;
  console.error(`sdk: ${error.message}`);
  process.exitCode = 1;
}
