#!/usr/bin/env node
// Finds or fetches programs that tests run: Chromium, for the page of a trace, and promtool, for metrics.
// CHROMIUM and PROMTOOL name others; what is on PATH comes next, then Debian's packages, unpacked into .sdk/.
//
//   node scripts/test-tools.mjs [--json]

import {existsSync} from 'node:fs';
import {readdir, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';

import {fetchDebian} from './sdk/debian.mjs';
import {FetchError} from './sdk/fetch.mjs';
import {sdkFolder} from './sdk/find.mjs';

// Without a sandbox, as root has none; without a GPU, as machines that test have none.
const QUIET = '--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const args = ['--no-sandbox', '--disable-gpu', ...QUIET.split(' ')];

/** `{path, env, args}`: the browser, the variables that it needs beside one's own, and how it is started. Rejects with FetchError. */
export async function findBrowser({env = process.env, folder = sdkFolder} = {}) {
  const found = env.CHROMIUM || onPath(['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'], env);
  if (found) return {path: found, env: {}, args};
  const program = 'usr/lib/chromium/chromium';
  const root = await fetchDebian(folder, 'chromium', {
    packages: ['chromium', 'fonts-inter', 'fonts-dejavu-core'],
    program,
    hint: 'Install Chromium or Chrome, or set CHROMIUM to one.',
  });
  const variables = {LD_LIBRARY_PATH: (await libraries(root)).join(':'), FONTCONFIG_FILE: await fonts(root)};
  return {path: path.join(root, program), env: variables, args};
}

/** `{path}`. Rejects with FetchError. */
export async function findPromtool({env = process.env, folder = sdkFolder} = {}) {
  const found = env.PROMTOOL || onPath(['promtool'], env);
  if (found) return {path: found};
  const program = 'usr/bin/promtool';
  const hint = 'Install promtool, which comes with Prometheus, or set PROMTOOL to one.';
  return {path: path.join(await fetchDebian(folder, 'promtool', {packages: ['prometheus'], program, alone: true, hint}), program)};
}

function onPath(names, {PATH = ''}) {
  const files = PATH.split(':').flatMap((folder) => names.map((name) => path.join(folder, name)));
  return files.find((file) => existsSync(file));
}

async function libraries(root) {
  const lib = path.join(root, 'usr', 'lib');
  const own = (await readdir(lib)).filter((name) => name.endsWith('-linux-gnu')).map((name) => path.join(lib, name));
  return [...own, ...own.map((each) => path.join(each, 'nss')), ...own.map((each) => path.join(each, 'pulseaudio'))];
}

/** The machine may have no font at all. */
async function fonts(root) {
  const file = path.join(root, 'fonts.conf');
  const folders = ['/usr/share/fonts', path.join(root, 'usr', 'share', 'fonts')].map((each) => `<dir>${each}</dir>`).join('');
  const prefer = ['Inter', 'DejaVu Sans'].map((each) => `<family>${each}</family>`).join('');
  const aliases = ['sans-serif', 'system-ui'].map((each) => `<alias><family>${each}</family><prefer>${prefer}</prefer></alias>`).join('');
  const text = `<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>${folders}<cachedir>${path.join(root, 'fontcache')}</cachedir>${aliases}</fontconfig>\n`;
  await writeFile(file, text);
  return file;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const {values} = parseArgs({options: {json: {type: 'boolean'}}});
  try {
    const tools = {browser: await findBrowser(), promtool: await findPromtool()};
    if (values.json) console.log(JSON.stringify(tools, null, 2));
    else console.log(`${tools.browser.path}\n${tools.promtool.path}`);
  } catch (error) {
    if (!(error instanceof FetchError)) throw error;
    console.error(`test-tools: ${error.message}`);
    process.exitCode = 1;
  }
}
