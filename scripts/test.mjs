#!/usr/bin/env node
// `npm test`: everything there is to check, from a fresh clone on, and the totals at the end.
// `--package` also packs the package and installs it in an empty folder.
// Later steps run even when earlier ones fail, as far as they can, so that one run tells all.

import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';

import {buildTypeScript} from './lib/build.mjs';
import {ensureDependencies} from './lib/dependencies.mjs';
import {RunError, root, run} from './lib/run.mjs';
import {step} from './lib/steps.mjs';

const bin = (name) => path.join(root, 'node_modules', '.bin', name);
const script = (name, ...args) => run(process.execPath, [path.join(root, 'scripts', name), ...args]).then(() => undefined);

const failed = [];
const check = async (name, work) => {
  const passed = await step(name, work);
  if (!passed) failed.push(name);
  return passed;
};

const ready = await check('dependencies', async () => ((await ensureDependencies()) ? 'installed' : 'there already'));
let totals = {passed: 0, failed: 0, skipped: 0};
if (ready) {
  await check('lint', async () => {
    await run(bin('biome'), ['check', '.']);
    await script('format-native.mjs', '--check');
  });
  const built = await check('build', buildTypeScript);
  // After the build: the end-to-end tests are typed against what is shipped.
  await check('types', async () => {
    await run(bin('tsc'), ['-p', 'tsconfig.json']);
    await run(bin('tsc'), ['-p', 'tsconfig.browser.json']);
  });
  await check('addon', () => script('build-addon.mjs'));
  await check('native tests', () => script('test-native.mjs'));
  await check('kernels', () => script('test-kernels.mjs'));
  if (process.argv.includes('--package')) {
    await check('package', async () => {
      await script('prebuild.mjs');
      await script('check-pack.mjs');
    });
  }
  await check('test tools', () => script('test-tools.mjs'));
  const model =
    built &&
    (await check('model', async () => {
      const {ensureModel} = await import('./model.mjs');
      return (await ensureModel()) ? 'imported' : 'there already';
    }));
  totals = await vitest(['unit', ...(built ? ['browser'] : []), ...(model ? ['e2e'] : [])]);
}

if (failed.length > 0) console.log(`failed: ${failed.join(', ')}`);
// A step that failed counts as one, so that the totals are never green when the run is not.
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed + failed.length} failed${skipped}`);
process.exitCode = failed.length === 0 && totals.failed === 0 && totals.passed > 0 ? 0 : 1;

/** Runs vitest in sight of the user and resolves with its own count of tests. */
async function vitest(projects) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tensorrt-node-test-'));
  const report = path.join(folder, 'report.json');
  const args = [
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...projects.flatMap((name) => ['--project', name]),
  ];
  try {
    let crash;
    await run(bin('vitest'), args, {show: true}).catch((error) => {
      crash = error;
    });
    if (!existsSync(report)) throw crash ?? new RunError('vitest left no report');
    const {numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites, success} = JSON.parse(await readFile(report, 'utf8'));
    // A file that does not load, or an error outside any test, fails the run without failing a test.
    if (numFailedTests === 0 && (!success || crash !== undefined)) failed.push(`vitest (${numFailedTestSuites} files)`);
    return {passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests};
  } catch (error) {
    console.log(error.message);
    failed.push('vitest');
    return {passed: 0, failed: 0, skipped: 0};
  } finally {
    await rm(folder, {recursive: true, force: true});
  }
}
