#!/usr/bin/env node
// Proves that the package installs and loads where there is no compiler: packs it, installs the tarball in an empty
// folder with nothing but node, npm and a shell on PATH, imports it and asks it what it sees. Then takes the prebuilt
// addon away: the installation still succeeds, with a reason, and with a compiler builds the addon from the package.
//
//   node scripts/check-pack.mjs [--built]
//
// --built: dist/ and prebuilds/ are up to date.

import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const {values} = parseArgs({options: {built: {type: 'boolean'}}});

if (!values.built) {
  execFileSync('npm', ['run', 'build'], {cwd: root, stdio: 'inherit'});
  execFileSync('npm', ['run', 'build:prebuilds'], {cwd: root, stdio: 'inherit'});
}

const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'tensorrt-node-pack-')));
try {
  check(folder);
} finally {
  rmSync(folder, {recursive: true, force: true});
}

function check(folder) {
  const packed = execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], {cwd: root, encoding: 'utf8'});
  const [{filename, files, size}] = Object.values(JSON.parse(packed));
  const names = files.map((file) => file.path);
  for (const needed of [
    'dist/index.js',
    'dist/index.d.ts',
    'dist/profile/page/script.js',
    `prebuilds/linux-${process.arch}/tensorrt-node.node`,
    'binding.gyp',
  ]) {
    assert(names.includes(needed), `the tarball lacks ${needed}`);
  }
  const strays = names.filter((name) => /(^|\/)(test|bench|simulator|node_modules)\/|\.test\.|^lib\//.test(name));
  assert.deepEqual(strays, [], 'the tarball holds what users do not need');
  say(`${filename}: ${files.length} files, ${(size / 1024).toFixed(0)} KiB`);

  const app = path.join(folder, 'app');
  mkdirSync(app);
  writeFileSync(path.join(app, 'package.json'), JSON.stringify({name: 'app', private: true, type: 'module'}));
  const env = bareEnvironment(folder);
  npm(app, env, 'install', '--prefer-offline', path.join(folder, filename));

  const addon = path.join(app, 'node_modules/tensorrt-node/prebuilds', `linux-${process.arch}`, 'tensorrt-node.node');
  const inspection = inspect(app, env);
  assert.deepEqual(inspection.addon, {loaded: true, path: addon});
  say(`inspect: addon ${path.relative(app, addon)}; driver ${inspection.driver.reason ?? inspection.driver.version}`);
  assert.equal(inspection.backends.cpu.usable, true, inspection.backends.cpu.why);

  rmSync(path.join(app, 'node_modules/tensorrt-node/prebuilds'), {recursive: true});
  const output = npm(app, env, 'rebuild', '--foreground-scripts', 'tensorrt-node');
  const reason = output.split('\n').find((line) => line.startsWith('addon: '));
  assert.match(reason ?? output, /^addon: not built: there is no C\+\+ compiler/);
  const without = inspect(app, env);
  assert.equal(without.addon.loaded, false);
  assert.match(without.addon.reason, /No native build was found/);
  assert.equal(without.backends.cpu.usable, true, without.backends.cpu.why);
  say(`without a prebuild: installs, and says: ${reason}`);

  const rebuilt = npm(app, {...env, PATH: process.env.PATH}, 'rebuild', '--foreground-scripts', 'tensorrt-node');
  const built = path.join(app, 'node_modules/tensorrt-node/build/Release/tensorrt_node.node');
  assert.deepEqual(inspect(app, env).addon, {loaded: true, path: built}, rebuilt);
  say(`with a compiler: builds ${path.relative(app, built)}`);
}

/** The caller's settings, with a PATH of node, npm and a shell. */
function bareEnvironment(folder) {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(process.execPath, path.join(bin, 'node'));
  for (const command of ['npm', 'sh']) {
    symlinkSync(execFileSync('sh', ['-c', `command -v ${command}`], {encoding: 'utf8'}).trim(), path.join(bin, command));
  }
  const {CXX, TENSORRT_NODE_ADDON, ...env} = process.env;
  // What the project's .npmrc says for this tree: no download of a GPU build of ONNX Runtime.
  return {...env, PATH: bin, npm_config_onnxruntime_node_install: 'skip', npm_config_onnxruntime_node_install_cuda: 'skip'};
}

function npm(cwd, env, ...args) {
  return execFileSync('sh', ['-c', 'npm "$@" 2>&1', 'npm', ...args, '--no-audit', '--no-fund'], {cwd, env, encoding: 'utf8'});
}

function inspect(cwd, env) {
  const program = "import {inspect} from 'tensorrt-node'; console.log(JSON.stringify(await inspect()));";
  return JSON.parse(execFileSync('node', ['--input-type=module', '--eval', program], {cwd, env, encoding: 'utf8'}));
}

function say(line) {
  console.log(`check-pack: ${line}`);
}
