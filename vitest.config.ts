import {fileURLToPath} from 'node:url';

import {defineConfig} from 'vitest/config';

// `unit` tests stand beside the sources they test. `e2e` tests import the built package by its name,
// as a user does, so that worker threads and the addon are loaded the way they ship. `browser` tests open pages of traces.
export default defineConfig({
  resolve: {alias: {'tensorrt-node': fileURLToPath(new URL('dist/index.js', import.meta.url))}},
  test: {
    projects: [
      {extends: true, test: {name: 'unit', include: ['lib/**/*.test.ts']}},
      {extends: true, test: {name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000}},
      {extends: true, test: {name: 'browser', include: ['test/browser/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 300_000}},
    ],
  },
});
